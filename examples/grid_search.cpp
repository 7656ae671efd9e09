// SPDX-License-Identifier: BSL-1.0
//
// Looks for the best parameters of a model: kernel ridge regression, whose width and penalty are
// tried on a grid, each by ten-fold cross-validation. The data go to each worker once.
//
//   grid_search [POINTS]        by default 200
//
// The data are made: Friedman's function of five variables (and five more that mean nothing), with
// noise of variance 1 (The Annals of Statistics 19, 1991). So no model can have a root mean square
// error below 1 on new points; and the straight guess, the mean, is off by about 5.

#include <algorithm>
#include <apalis/apalis.hpp>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <random>
#include <string>
#include <vector>

// --- The data ------------------------------------------------------------------------------------

constexpr std::size_t variables = 10;
using Point = std::array<double, variables>;

struct Data {
  std::vector<Point> x = {};
  std::vector<double> y = {};

  template <class Archive>
  void serialize(Archive& archive) {
    archive(x, y);
  }
};

Data make_data(std::size_t count, unsigned seed) {
  std::mt19937_64 random{seed};
  std::uniform_real_distribution<double> uniform;
  std::normal_distribution<double> noise;
  Data data;
  for (std::size_t i = 0; i < count; ++i) {
    Point p{};
    for (double& value : p) value = uniform(random);
    data.x.push_back(p);
    data.y.push_back(10 * std::sin(std::numbers::pi * p[0] * p[1]) +
                     20 * (p[2] - 0.5) * (p[2] - 0.5) + 10 * p[3] + 5 * p[4] + noise(random));
  }
  return data;
}

// --- The model -----------------------------------------------------------------------------------

struct Setting {
  double width;    // how far a point's influence reaches
  double penalty;  // how much a rough function is worse than a smooth one
};

class Model {
 public:
  Model(const Data& data, Setting setting) : setting_(setting), x_(data.x) {
    const std::size_t n = x_.size();
    for (const double y : data.y) mean_ += y / static_cast<double>(n);
    std::vector<double> lower(n * n);  // of Cholesky's decomposition
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = kernel(x_[i], x_[j]) + (i == j ? setting.penalty : 0);
        for (std::size_t k = 0; k < j; ++k) sum -= lower[i * n + k] * lower[j * n + k];
        lower[i * n + j] = i == j ? std::sqrt(sum) : sum / lower[j * n + j];
      }
    }
    weights_.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      double sum = data.y[i] - mean_;
      for (std::size_t k = 0; k < i; ++k) sum -= lower[i * n + k] * weights_[k];
      weights_[i] = sum / lower[i * n + i];
    }
    for (std::size_t i = n; i-- > 0;) {
      double sum = weights_[i];
      for (std::size_t k = i + 1; k < n; ++k) sum -= lower[k * n + i] * weights_[k];
      weights_[i] = sum / lower[i * n + i];
    }
  }

  double squared_error(const Data& data) const {
    double sum = 0;
    for (std::size_t i = 0; i < data.x.size(); ++i)
      sum += std::pow(predict(data.x[i]) - data.y[i], 2);
    return sum;
  }

 private:
  double kernel(const Point& a, const Point& b) const {
    double distance = 0;
    for (std::size_t v = 0; v < variables; ++v) distance += (a[v] - b[v]) * (a[v] - b[v]);
    return std::exp(-distance / (2 * setting_.width * setting_.width));
  }
  double predict(const Point& point) const {
    double value = mean_;
    for (std::size_t i = 0; i < x_.size(); ++i) value += weights_[i] * kernel(x_[i], point);
    return value;
  }

  Setting setting_;
  std::vector<Point> x_;
  double mean_ = 0;
  std::vector<double> weights_;
};

double root_mean_square(double sum, std::size_t count) {
  return std::sqrt(sum / static_cast<double>(count));
}

/// What the engine maps: each tenth of the data is predicted by a model of the others.
double cross_validated(Setting setting, const Data& data) {
  constexpr std::size_t folds = 10;
  double sum = 0;
  for (std::size_t fold = 0; fold < folds; ++fold) {
    Data known, asked;
    for (std::size_t i = 0; i < data.x.size(); ++i) {
      Data& part = i % folds == fold ? asked : known;
      part.x.push_back(data.x[i]);
      part.y.push_back(data.y[i]);
    }
    sum += Model{known, setting}.squared_error(asked);
  }
  return root_mean_square(sum, data.x.size());
}

// --- The grid ------------------------------------------------------------------------------------

constexpr std::size_t widths = 24, penalties = 8;

std::vector<Setting> make_grid() {
  std::vector<Setting> grid;
  for (int row = 0; row < static_cast<int>(penalties); ++row)
    for (int column = 0; column < static_cast<int>(widths); ++column)
      grid.push_back({0.3 * std::pow(1.2, column), std::pow(10, row - 6)});
  return grid;
}

/// Dark is good.
void draw(const std::vector<Setting>& grid, const std::vector<double>& errors) {
  const std::string shades = "@%#*+=-:. ";
  const double best = *std::min_element(errors.begin(), errors.end());
  const double worst = *std::max_element(errors.begin(), errors.end());
  std::puts("penalty  error of cross-validation, from @ (best) to blank (worst); O is the best");
  for (std::size_t row = penalties; row-- > 0;) {
    std::printf("%7.0e  ", grid[row * widths].penalty);
    for (std::size_t column = 0; column < widths; ++column) {
      const double error = errors[row * widths + column];
      const double share = std::log(error / best) / std::log(worst / best);
      const auto shade = static_cast<std::size_t>(share * static_cast<double>(shades.size()));
      const char sign = error == best ? 'O' : shades[std::min(shade, shades.size() - 1)];
      std::printf("%c%c", sign, sign);
    }
    std::puts("");
  }
  std::printf("  width  %-6.1f%*s\n", grid.front().width, static_cast<int>(2 * widths - 6),
              std::to_string(grid[widths - 1].width).substr(0, 4).c_str());
}

int main(int argc, char** argv) {
  const int points = argc > 1 ? std::atoi(argv[1]) : 200;
  if (argc > 2 || points < 20 || points > 5000) {
    std::fprintf(stderr, "usage: %s [POINTS], from 20 to 5000\n", argv[0]);
    return 2;
  }
  const Data data = make_data(static_cast<std::size_t>(points), 1);
  const std::vector<Setting> grid = make_grid();

  const apalis::Engine engine;
  const apalis::Ref<Data> shared = apalis::put(data);  // sent once, not with each of the settings
  const std::vector<double> errors = engine.map(cross_validated, grid, shared);
  std::printf("%d points, %zu settings, %zu fits on %zu workers\n", points, grid.size(),
              10 * grid.size(), engine.max_workers());
  draw(grid, errors);

  std::vector<std::size_t> order(grid.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return errors[a] < errors[b]; });
  const Data unseen = make_data(1000, 2);
  std::puts("  width  penalty  cross-validated  1000 new points");
  double found = 0;
  for (std::size_t rank = 5; rank-- > 0;) {
    const Setting setting = grid[order[rank]];
    found = root_mean_square(Model{data, setting}.squared_error(unseen), unseen.x.size());
    std::printf("%7.2f  %7.0e  %15.3f  %15.3f%s\n", setting.width, setting.penalty,
                errors[order[rank]], found, rank == 0 ? "  <- the best" : "");
  }

  // Where the best one lies: within the noise's reach, far from the mean's error, inside the grid.
  const apalis::Engine serial{apalis::Backend::serial};
  const std::vector<Setting> some{grid.front(), grid[order[0]], grid.back()};
  const std::vector<double> again = serial.map(cross_validated, some, data);
  const bool same =
      again[0] == errors.front() && again[1] == errors[order[0]] && again[2] == errors.back();
  const bool good = found > 0.9 && found < (points < 100 ? 4.0 : 2.5);
  std::printf("%s; %s\n", same ? "the same errors in this process" : "OTHER ERRORS in this process",
              good ? "the best model predicts new points" : "THE BEST MODEL PREDICTS NOTHING");
  return same && good ? 0 : 1;
}
