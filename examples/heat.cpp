// SPDX-License-Identifier: BSL-1.0
//
// Heat spreads over a plate, whose two copies all workers share: each computes some rows, and all wait
// for each other after every step. Then the same once more in this process alone, which must come to
// the same temperatures, bit by bit.
//
//   heat [WIDTH HEIGHT STEPS [FILE]]      by default 960 540 2000 heat.png

#include <algorithm>
#include <apalis/apalis.hpp>
#include <apalis/shared_array.hpp>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#if __has_include(<png.h>)
#  include <png.h>
#endif

#include "progress_bar.hpp"

// --- The plate -----------------------------------------------------------------------------------

using Plate = apalis::SharedArray<double, 2>;  // degrees, row by row

/// Hot discs in the pattern of a sunflower; the rim stays cold.
Plate make_plate(std::size_t width, std::size_t height) {
  const Plate plate(height, width);
  const auto w = static_cast<double>(width), h = static_cast<double>(height);
  for (int disc = 1; disc < 55; ++disc) {
    const double angle = disc * 2.399963, far = 0.062 * std::sqrt(disc);
    const double x = w * (0.5 + far * std::cos(angle));
    const double y = h * (0.5 + far * std::sin(angle));
    const double radius = std::min(w, h) * (0.016 + 0.0004 * disc);
    for (std::size_t i = 1; i + 1 < height; ++i)
      for (std::size_t j = 1; j + 1 < width; ++j)
        if (std::hypot(static_cast<double>(j) - x, static_cast<double>(i) - y) < radius)
          plate(i, j) = 100;
  }
  return plate;
}

/// One step of Jacobi's iteration for one row: what flows in from the four neighbours.
void relax(std::span<const double> above, std::span<const double> row,
           std::span<const double> below, std::span<double> next) {
  for (std::size_t j = 1; j + 1 < row.size(); ++j)
    next[j] = row[j] + 0.2 * (above[j] + below[j] + row[j - 1] + row[j + 1] - 4 * row[j]);
}

void relax_rows(const Plate& now, const Plate& next, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i)
    relax(now.row(i - 1), now.row(i), now.row(i + 1), next.row(i));
}

// --- The workers ---------------------------------------------------------------------------------

/// Some rows; the workers' objects are made where they live, and get the plates when they are called.
class Strip {
 public:
  Strip(std::size_t first, std::size_t last) : first_(first), last_(last) {}

  void run(Plate now, Plate next, const apalis::Barrier& barrier,
           apalis::SharedArray<std::int64_t> steps_done, int steps) const {
    for (int step = 1; step <= steps; ++step) {
      relax_rows(now, next, first_, last_);
      barrier.arrive_and_wait();  // nobody reads `now` any more, and `next` is complete
      std::swap(now, next);
      if (first_ == 1) std::atomic_ref(steps_done[0]).store(step, std::memory_order_relaxed);
    }
  }

 private:
  std::size_t first_, last_;
};

/// The rows but for the rim, cut into one piece for each worker.
apalis::GroupHandler<Strip> make_strips(std::size_t rows, std::size_t workers) {
  const auto cut = [=](std::size_t i) { return 1 + (rows - 2) * i / workers; };
  return {{.workers = workers}, std::in_place, workers, [&](std::size_t i) {
            return Strip(cut(i), cut(i + 1));
          }};
}

// --- The picture ---------------------------------------------------------------------------------

/// Black, red, yellow, white.
std::vector<std::uint8_t> colours(const Plate& plate) {
  std::vector<std::uint8_t> rgb;
  for (const double degrees : plate) {
    const double heat = 3 * std::sqrt(std::clamp(degrees / 80, 0.0, 1.0));
    for (int channel = 0; channel < 3; ++channel)
      rgb.push_back(static_cast<std::uint8_t>(255 * std::clamp(heat - channel, 0.0, 1.0)));
  }
  return rgb;
}

#if __has_include(<png.h>)
constexpr auto picture_file = "heat.png";

void write_picture(const Plate& plate, const std::string& file) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(plate.extent(1));
  image.height = static_cast<png_uint_32>(plate.extent(0));
  image.format = PNG_FORMAT_RGB;
  if (png_image_write_to_file(&image, file.c_str(), 0, colours(plate).data(), 0, nullptr) == 0)
    throw std::runtime_error("can't write " + file + ": " + image.message);
}
#else
constexpr auto picture_file = "heat.ppm";

void write_picture(const Plate& plate, const std::string& file) {
  const auto rgb = colours(plate);
  std::ofstream out(file, std::ios::binary);
  out << "P6 " << plate.extent(1) << ' ' << plate.extent(0) << " 255\n";
  out.write(reinterpret_cast<const char*>(rgb.data()), static_cast<std::streamsize>(rgb.size()));
  if (!out.flush()) throw std::runtime_error("can't write " + file);
}
#endif

// --- The program ---------------------------------------------------------------------------------

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  int width = 960, height = 540, steps = 2000;
  if (arguments.size() > 2) {
    width = std::atoi(arguments[0].c_str());
    height = std::atoi(arguments[1].c_str());
    steps = std::atoi(arguments[2].c_str());
  }
  const std::string file = arguments.size() > 3 ? arguments[3] : picture_file;
  if (arguments.size() == 1 || arguments.size() == 2 || arguments.size() > 4 || width < 3 ||
      height < 3 || width > 20'000 || height > 20'000 || steps < 1) {
    std::fprintf(stderr, "usage: %s [WIDTH HEIGHT STEPS [FILE]]\n", argv[0]);
    return 2;
  }
  const auto rows = static_cast<std::size_t>(height);
  const auto columns = static_cast<std::size_t>(width);
  const auto workers = std::min(static_cast<std::size_t>(apalis::cpu_count()), rows - 2);
  std::printf("%d x %d points, %d steps, %zu workers\n", width, height, steps, workers);

  // Two plates: each step reads the one and writes the other.
  Plate now = make_plate(columns, rows), next(rows, columns);
  Plate alone = make_plate(columns, rows), alone_next(rows, columns);
  auto strips = make_strips(rows, workers);
  const apalis::Barrier barrier(workers);
  const apalis::SharedArray<std::int64_t> steps_done(1);
  const std::atomic_ref<std::int64_t> done(steps_done[0]);

  auto start = std::chrono::steady_clock::now();
  Progress progress{static_cast<std::size_t>(steps), "steps"};
  auto running = strips.start_map(&Strip::run, now, next, barrier, steps_done, steps);
  std::int64_t shown = 0;
  for (bool ended = false; !ended;) {
    ended = running.wait_for(std::chrono::milliseconds(50));
    for (const auto reached = done.load(std::memory_order_relaxed); shown < reached; ++shown)
      progress.one_more();
  }
  running.get();
  const double together = seconds_since(start);
  if (steps % 2 != 0) std::swap(now, next);
  write_picture(now, file);
  std::printf("see %s\n", file.c_str());

  start = std::chrono::steady_clock::now();
  for (int step = 0; step < steps; ++step) {
    relax_rows(alone, alone_next, 1, rows - 1);
    std::swap(alone, alone_next);
  }
  const double serial = seconds_since(start);
  std::printf("%.2f s by %zu workers, %.2f s by one: %.2f times as fast\n", together, workers,
              serial, serial / together);

  const bool same = std::memcmp(now.data(), alone.data(), now.size() * sizeof(double)) == 0;
  std::puts(same ? "the same temperatures, bit by bit" : "OTHER TEMPERATURES");
  return same ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
