// SPDX-License-Identifier: BSL-1.0
//
// Filters a folder of PNGs, each an object of a group: decoded, painted over and encoded in the
// workers. The filter (Kuwahara's) takes away noise and small detail and leaves the edges: photos
// look like oil paintings.
//
//   images DIR OUT         every PNG under DIR; the results go to OUT under the same names
//   images                 the largest 100 under /usr/share, or some drawn ones, to images.out
//   images --check OUT     drawn ones, two of them broken; checks what comes of them
//
// A file that can't be decoded costs itself alone, even where the codec takes its process with it.

#include <png.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "progress_bar.hpp"

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// --- Pictures and files --------------------------------------------------------------------------

using Pixel = std::array<std::uint8_t, 4>;  // red, green, blue, opacity

struct Size {
  int width, height;

  std::size_t count() const { return place(0, height); }
  std::size_t place(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  }
  bool operator==(const Size&) const = default;
};

struct Picture {
  Size size;
  std::vector<Pixel> pixels;

  explicit Picture(Size its_size) : size(its_size), pixels(size.count()) {}
  Pixel& at(int x, int y) { return pixels[size.place(x, y)]; }
};

/// libpng has but one way back from an error: longjmp, which must not pass over C++ objects. A
/// worker needs none; it ends, and its file with it.
[[noreturn]] void end_process(png_structp png, png_const_charp message) {
  std::fprintf(stderr, "%s: %s\n", static_cast<const char*>(png_get_error_ptr(png)), message);
  std::abort();
}

Picture decode(const std::string& file) {
  const std::unique_ptr<FILE, int (*)(FILE*)> in(std::fopen(file.c_str(), "rb"), std::fclose);
  if (!in) throw std::runtime_error("can't be read");
  std::array<png_byte, 8> signature{};
  if (std::fread(signature.data(), 1, signature.size(), in.get()) != signature.size() ||
      png_sig_cmp(signature.data(), 0, signature.size()) != 0)
    throw std::runtime_error("is no PNG");

  struct Reader {
    png_structp png;
    png_infop info = png_create_info_struct(png);
    explicit Reader(png_structp p) : png(p) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  };
  const Reader reader{png_create_read_struct(PNG_LIBPNG_VER_STRING, const_cast<char*>(file.c_str()),
                                             end_process, [](png_structp, png_const_charp) {})};
  if (reader.info == nullptr) throw std::bad_alloc();
  png_structp png = reader.png;
  png_init_io(png, in.get());
  png_set_sig_bytes(png, static_cast<int>(signature.size()));
  png_read_info(png, reader.info);
  png_set_expand(png);  // whatever it is, it becomes 8 bits of each colour and of opacity
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
  png_set_interlace_handling(png);
  png_read_update_info(png, reader.info);

  Picture picture{{static_cast<int>(png_get_image_width(png, reader.info)),
                   static_cast<int>(png_get_image_height(png, reader.info))}};
  std::vector<png_bytep> rows;
  rows.reserve(static_cast<std::size_t>(picture.size.height));
  for (int y = 0; y < picture.size.height; ++y) rows.push_back(picture.at(0, y).data());
  png_read_image(png, rows.data());
  png_read_end(png, nullptr);
  return picture;
}

void encode(const Picture& picture, const std::string& file) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.size.width);
  image.height = static_cast<png_uint_32>(picture.size.height);
  image.format = PNG_FORMAT_RGBA;
  image.flags = PNG_IMAGE_FLAG_FAST;  // else this takes most of the time
  if (png_image_write_to_file(&image, file.c_str(), 0, picture.pixels.data(), 0, nullptr) == 0)
    throw std::runtime_error("can't write " + file + ": " + image.message);
}

/// FNV-1a of the pixels.
std::uint64_t checksum(const Picture& picture) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const Pixel& pixel : picture.pixels)
    for (const std::uint8_t byte : pixel) sum = (sum ^ byte) * 0x100000001b3;
  return sum;
}

// --- The filter ----------------------------------------------------------------------------------

/// A pixel becomes the mean of the smoothest of the four squares that have it as a corner: one that
/// lies across an edge is never the smoothest.
class Kuwahara {
 public:
  static constexpr int side = 5;

  explicit Kuwahara(const Picture& picture)
      : size_(picture.size), extent_{size_.width + side - 1, size_.height + side - 1} {
    lights_.reserve(picture.pixels.size());
    for (const Pixel& pixel : picture.pixels) {
      Numbers& light = lights_.emplace_back();
      for (std::size_t c = 0; c < 3; ++c) light[c] = (pixel[c] * pixel[3] + 127U) / 255;
      light[3] = pixel[3];
    }
    squares_.reserve(extent_.count());
    for (int y = 1 - side; y < size_.height; ++y)
      for (int x = 1 - side; x < size_.width; ++x) squares_.push_back(look_at(x, y));
  }

  Pixel at(int x, int y) const {
    const Square* smoothest = &square(x, y);
    for (const Square* other :
         {&square(x + side - 1, y), &square(x, y + side - 1), &square(x + side - 1, y + side - 1)})
      if (other->variance < smoothest->variance) smoothest = other;
    return smoothest->mean;
  }

 private:
  using Numbers = std::array<std::uint32_t, 4>;
  struct Square {
    std::uint32_t variance;
    Pixel mean;
  };

  const Square& square(int column, int row) const { return squares_[extent_.place(column, row)]; }

  Square look_at(int left, int top) const {
    const int first = std::max(left, 0), last = std::min(left + side, size_.width);
    Numbers sums{}, squares{};
    std::uint32_t count = 0;
    for (int y = std::max(top, 0); y < std::min(top + side, size_.height); ++y)
      for (int x = first; x < last; ++x, ++count) {
        const Numbers& light = lights_[size_.place(x, y)];
        for (std::size_t c = 0; c < 4; ++c) {
          sums[c] += light[c];
          squares[c] += light[c] * light[c];
        }
      }
    Square square{};
    for (std::size_t c = 0; c < 4; ++c)
      square.variance += (squares[c] - sums[c] * sums[c] / count) / count;
    const std::uint32_t opacity = sums[3];
    for (std::size_t c = 0; c < 3 && opacity > 0; ++c)
      square.mean[c] =
          static_cast<std::uint8_t>(std::min(255U, (sums[c] * 255 + opacity / 2) / opacity));
    square.mean[3] = static_cast<std::uint8_t>((opacity + count / 2) / count);
    return square;
  }

  Size size_, extent_;           // of the picture; of the squares, which overlap its borders
  std::vector<Numbers> lights_;  // colours times opacity: what can't be seen does not count
  std::vector<Square> squares_;
};

Picture paint_over(const Picture& picture) {
  const Kuwahara filter{picture};
  Picture result{picture.size};
  for (int y = 0; y < result.size.height; ++y)
    for (int x = 0; x < result.size.width; ++x) result.at(x, y) = filter.at(x, y);
  return result;
}

// --- The work ------------------------------------------------------------------------------------

struct Job {
  fs::path from, to;
  std::uintmax_t size = 0;
};

struct Filtered {
  Size size;
  std::uint64_t checksum;

  bool operator==(const Filtered&) const = default;
};

class Painter {
 public:
  explicit Painter(Job job) : job_(std::move(job)) {}

  Filtered paint() const {
    const Picture picture = paint_over(decode(job_.from));
    fs::create_directories(job_.to.parent_path());
    encode(picture, job_.to);
    return {picture.size, checksum(picture)};
  }

 private:
  Job job_;
};

struct Result {
  std::vector<std::optional<Filtered>> filtered;  // in the order of the jobs
  std::vector<std::string> broken, crashed;       // what happened to the others
  std::uint32_t restarts = 0;
  double seconds = 0;
};

Result paint(const std::vector<Job>& jobs, apalis::Backend backend) {
  Result result;
  result.filtered.resize(jobs.size());
  const auto start = std::chrono::steady_clock::now();
  // A worker that dies has a successor, which goes on with the next picture.
  apalis::GroupHandler<Painter> painters{
      {.backend = backend, .restart = {.max = static_cast<unsigned>(jobs.size()), .backoff = 0ms}},
      std::in_place,
      jobs.size(),
      [&](std::size_t i) { return Painter{jobs[i]}; }};
  std::vector<apalis::Token<Filtered>> tokens;
  for (auto painter : painters) tokens.push_back(painter.call<&Painter::paint>());

  Progress progress{jobs.size(), "pictures"};
  for (auto& token : apalis::as_completed(tokens)) {
    const auto index = static_cast<std::size_t>(&token - tokens.data());
    const std::string name = jobs[index].from.filename();
    try {
      result.filtered[index] = token.get();
    } catch (const apalis::WorkerDied& death) {
      result.crashed.push_back(name + ": " + death.what());
    } catch (const std::exception& error) {
      result.broken.push_back(name + ": " + error.what());
    }
    if (backend != apalis::Backend::serial) progress.one_more();  // else all is done already
  }
  result.restarts = painters.restarts();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

/// The PNGs under `directory`, the largest files first, so that the workers end together.
std::vector<Job> jobs_in(const fs::path& directory, const fs::path& out) {
  std::vector<Job> jobs;
  const auto skip = fs::directory_options::skip_permission_denied;
  for (auto at = fs::recursive_directory_iterator(directory, skip); at != fs::end(at); ++at) {
    if (at->is_directory() && fs::exists(out) && fs::equivalent(*at, out))
      at.disable_recursion_pending();
    if (at->path().extension() == ".png" && at->is_regular_file() && !at->is_symlink())
      jobs.push_back({at->path(), out / fs::relative(at->path(), directory), at->file_size()});
  }
  std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) {
    return a.size != b.size ? a.size > b.size : a.from < b.from;
  });
  return jobs;
}

// --- Drawn pictures ------------------------------------------------------------------------------

constexpr unsigned drawn = 24;
constexpr int noise = 40;

/// Discs before a sky.
Picture draw(unsigned number, bool noisy) {
  std::mt19937 random(number);
  const auto up_to = [&](int limit) {  // the library's distributions differ between systems
    return static_cast<int>(random() % static_cast<unsigned>(limit));
  };
  const auto shade = [&] { return static_cast<std::uint8_t>(noise + up_to(170)); };
  Picture picture{{320, 240}};
  const auto [width, height] = picture.size;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      picture.at(x, y) = {static_cast<std::uint8_t>(60 + y / 3), 120,
                          static_cast<std::uint8_t>(200 - y / 4), 255};
  for (int disc = 0; disc < 25; ++disc) {
    const int centre_x = up_to(width), centre_y = up_to(height), radius = 12 + up_to(40);
    const Pixel colour{shade(), shade(), shade(), 255};
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        if ((x - centre_x) * (x - centre_x) + (y - centre_y) * (y - centre_y) < radius * radius)
          picture.at(x, y) = colour;
  }
  for (Pixel& pixel : picture.pixels)
    for (std::size_t c = 0; c < 3 && noisy; ++c)
      pixel[c] = static_cast<std::uint8_t>(pixel[c] - noise + up_to(2 * noise + 1));
  return picture;
}

fs::path drawn_name(unsigned number) {
  return "drawn_" + std::to_string(number) + ".png";
}

void draw_all(const fs::path& directory) {
  fs::create_directories(directory);
  for (unsigned i = 0; i < drawn; ++i) encode(draw(i, true), directory / drawn_name(i));
}

/// One that is no PNG, and one with a damaged byte.
void add_broken(const fs::path& directory) {
  std::ofstream(directory / "text.png") << "I am a text.\n";
  fs::copy_file(directory / drawn_name(0), directory / "damaged.png",
                fs::copy_options::overwrite_existing);
  std::fstream file(directory / "damaged.png", std::ios::binary | std::ios::in | std::ios::out);
  const auto middle = static_cast<std::streamoff>(fs::file_size(directory / "damaged.png") / 2);
  file.seekg(middle);
  const int byte = file.get();
  file.seekp(middle);
  file.put(static_cast<char>(byte ^ 0x55));
  file.close();
  if (!file) throw std::runtime_error("can't damage a picture");
}

double mean_difference(const Picture& a, const Picture& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i)
    for (std::size_t c = 0; c < 3; ++c) sum += std::abs(a.pixels[i][c] - b.pixels[i][c]);
  return sum / 3 / static_cast<double>(a.pixels.size());
}

/// Whether the drawn pictures came out as they should, and the broken two did not.
bool check(const std::vector<Job>& jobs, const Result& result) {
  bool right = true;
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) std::printf("NOT SO: %s\n", what);
    right = right && holds;
  };
  expect(jobs.size() == drawn + 2, "all are found");
  expect(result.broken.size() == 1 && result.broken[0].starts_with("text.png"),
         "the text alone is refused");
  expect(result.crashed.size() == 1 && result.crashed[0].starts_with("damaged.png"),
         "the damaged one alone takes its worker with it");
  expect(result.restarts == 1, "one worker was replaced");
  double before = 0, after = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!result.filtered[i]) continue;
    const Picture picture = decode(jobs[i].to);
    expect(Filtered{picture.size, checksum(picture)} == *result.filtered[i],
           "the file has what was filtered");
    const auto number = static_cast<unsigned>(
        std::stoul(jobs[i].from.stem().string().substr(std::strlen("drawn_"))));
    before += mean_difference(draw(number, true), draw(number, false)) / drawn;
    after += mean_difference(picture, draw(number, false)) / drawn;
  }
  std::printf("noise: a pixel is off by %.1f before, %.1f after\n", before, after);
  expect(after < before / 2, "the noise is gone");
  return right;
}

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool checked = !arguments.empty() && arguments[0] == "--check";
  if (arguments.size() != 2 && !arguments.empty()) {
    std::fprintf(stderr, "usage: %s [DIR OUT | --check OUT]\n", argv[0]);
    return 2;
  }
  fs::path out = arguments.empty() ? "images.out" : arguments[1];
  std::vector<Job> jobs;
  if (checked) {
    draw_all(out / "drawn");
    add_broken(out / "drawn");
    jobs = jobs_in(out / "drawn", out / "filtered");
  } else if (!arguments.empty()) {
    if (fs::exists(out) && fs::equivalent(arguments[0], out))
      throw std::runtime_error("OUT is DIR: the originals would be lost");
    jobs = jobs_in(arguments[0], out);
  } else {
    if (fs::exists("/usr/share")) jobs = jobs_in("/usr/share", out);
    if (jobs.size() > 100) jobs.resize(100);
    if (jobs.empty()) {
      draw_all(out / "drawn");
      jobs = jobs_in(out / "drawn", out / "filtered");
    }
  }
  std::printf("%zu pictures, %d workers\n", jobs.size(), apalis::cpu_count());
  if (jobs.empty()) return 0;

  const Result result = paint(jobs, apalis::Backend::processes);
  for (const std::string& what : result.broken) std::printf("broken:  %s\n", what.c_str());
  for (const std::string& what : result.crashed) std::printf("crashed: %s\n", what.c_str());

  // In one process a crash would end the program: only the good ones.
  std::vector<Job> good;
  std::vector<std::optional<Filtered>> filtered;
  double megapixels = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!result.filtered[i]) continue;
    good.push_back(jobs[i]);
    filtered.push_back(result.filtered[i]);
    megapixels += 1e-6 * static_cast<double>(filtered.back()->size.count());
  }
  std::puts("once more, in this process alone");
  const Result serial = paint(good, apalis::Backend::serial);
  const bool same = serial.filtered == filtered;
  std::printf("%zu filtered, %.1f megapixels; see %s\n", good.size(), megapixels, out.c_str());
  const auto count = static_cast<double>(good.size());
  std::printf("%-22s %7.1f pictures/s\n", "in the group", count / result.seconds);
  std::printf("%-22s %7.1f pictures/s\n", "one after the other", count / serial.seconds);
  std::puts(same ? "the same pixels" : "OTHER PIXELS");
  return same && (!checked || check(jobs, result)) ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
