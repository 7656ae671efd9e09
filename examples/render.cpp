// SPDX-License-Identifier: BSL-1.0
//
// Ray-traces a picture in tiles, each an object of a group, and shows the progress as they come in.
//
//   render [WIDTH HEIGHT [FILE]] [--check]      by default 1280 720 render.png
//
// --check renders it once more in this process alone, reads the file, and compares all three.

#include <png.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "progress_bar.hpp"

// --- The scene -----------------------------------------------------------------------------------

struct Vec {
  double x = 0, y = 0, z = 0;

  friend Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  friend Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend Vec operator*(double k, Vec a) { return {k * a.x, k * a.y, k * a.z}; }
  friend Vec operator*(Vec a, Vec b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
};
double dot(Vec a, Vec b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}
Vec cross(Vec a, Vec b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
Vec unit(Vec a) {
  return 1 / std::sqrt(dot(a, a)) * a;
}
Vec mix(Vec a, Vec b, double share) {
  return (1 - share) * a + share * b;
}
Vec mirrored(Vec direction, Vec normal) {
  return direction - 2 * dot(direction, normal) * normal;
}

struct Sphere {
  Vec centre;
  double radius;
  Vec colour;
  double mirror;  // how much of the light it reflects
};

struct Hit {
  double distance;
  Vec normal, colour;
  double mirror;
};

class Scene {
 public:
  Scene() {
    spheres_.push_back({{0, 1.25, 0}, 1.25, {0.9, 0.92, 0.95}, 0.85});
    for (int i = 5; i < 64; ++i) {  // the pattern of a sunflower
      const double angle = i * std::numbers::pi * (3 - std::sqrt(5.0));
      const double far = 0.68 * std::sqrt(i), radius = 0.1 + 0.004 * i;
      const auto shade = [i](double shift) {
        return 0.46 + 0.44 * std::cos(2 * std::numbers::pi * (i / 60.0 + shift));
      };
      spheres_.push_back({{far * std::cos(angle), radius, far * std::sin(angle)},
                          radius,
                          {shade(0), shade(0.67), shade(0.33)},
                          0.12});
    }
  }

  /// The light that comes from there. `sun`: where it stands for this ray, as it is a disc.
  Vec colour(Vec from, Vec direction, Vec sun, int depth) const {
    Hit hit{};
    if (!find(from, direction, hit)) return sky(direction, sun);
    const Vec place = from + hit.distance * direction + 1e-6 * hit.normal;
    const double lit = std::max(0.0, dot(hit.normal, sun));
    Hit shade{};
    const bool in_shadow = lit > 0 && find(place, sun, shade);
    const Vec light = Vec{0.16, 0.2, 0.28} + (in_shadow ? 0 : lit) * Vec{1.05, 0.97, 0.82};
    Vec result = hit.colour * light;
    const double facing = 1 + dot(direction, hit.normal);
    const double mirror = hit.mirror + (1 - hit.mirror) * 0.6 * std::pow(std::max(0.0, facing), 5);
    if (depth > 0 && mirror > 0.01)
      result = mix(result, colour(place, mirrored(direction, hit.normal), sun, depth - 1), mirror);
    const double haze = 1 - std::exp(-std::pow(hit.distance / 34, 2));
    return mix(result, sky(direction, sun), haze);
  }

 private:
  static Vec sky(Vec direction, Vec sun) {
    const double height = std::clamp(direction.y, 0.0, 1.0);
    const Vec air = mix({0.85, 0.78, 0.68}, {0.1, 0.27, 0.62}, std::pow(height, 0.5));
    const double glow = std::pow(std::max(0.0, dot(direction, sun)), 300);
    return air + glow * Vec{1.5, 1.3, 0.9};
  }

  bool find(Vec from, Vec direction, Hit& hit) const {
    double nearest = 1e9;
    const Sphere* found = nullptr;
    for (const Sphere& sphere : spheres_) {
      const Vec there = sphere.centre - from;
      const double along = dot(there, direction);
      const double depth = sphere.radius * sphere.radius - dot(there, there) + along * along;
      if (depth < 0) continue;
      const double distance = along - std::sqrt(depth);
      if (distance > 1e-6 && distance < nearest) {
        nearest = distance;
        found = &sphere;
      }
    }
    if (direction.y < 0 && -from.y / direction.y < nearest) {  // the floor
      const double distance = -from.y / direction.y;
      const Vec place = from + distance * direction;
      const bool dark =
          (std::lround(std::floor(place.x)) + std::lround(std::floor(place.z))) % 2 != 0;
      hit = {distance, {0, 1, 0}, dark ? Vec{0.1, 0.12, 0.17} : Vec{0.72, 0.7, 0.64}, 0.08};
      return true;
    }
    if (found == nullptr) return false;
    const Vec normal = 1 / found->radius * (from + nearest * direction - found->centre);
    hit = {nearest, normal, found->colour, found->mirror};
    return true;
  }

  std::vector<Sphere> spheres_;
};

// --- The tiles -----------------------------------------------------------------------------------

struct Size {
  int width, height;
};

struct Block {  // pixels, and where they belong
  int x = 0, y = 0, width = 0, height = 0;
  std::vector<std::uint8_t> rgb = {};

  template <class Archive>
  void serialize(Archive& archive) {
    archive(x, y, width, height, rgb);
  }
};

class Tile {
 public:
  static constexpr int side = 40;

  static int columns(Size picture) { return (picture.width + side - 1) / side; }
  static std::size_t count(Size picture) {
    const int rows = (picture.height + side - 1) / side;
    return static_cast<std::size_t>(columns(picture) * rows);
  }

  Tile(std::shared_ptr<const Scene> scene, Size picture, std::size_t index)
      : scene_(std::move(scene)), picture_(picture), index_(static_cast<int>(index)) {}

  Block render() const {
    Block block{index_ % columns(picture_) * side, index_ / columns(picture_) * side};
    block.width = std::min(side, picture_.width - block.x);
    block.height = std::min(side, picture_.height - block.y);
    for (int y = block.y; y < block.y + block.height; ++y)
      for (int x = block.x; x < block.x + block.width; ++x)
        for (const double light : as_array(pixel(x, y)))
          block.rgb.push_back(static_cast<std::uint8_t>(
              std::lround(255 * std::pow(std::clamp(light, 0.0, 1.0), 1 / 2.2))));
    return block;
  }

 private:
  static std::array<double, 3> as_array(Vec v) { return {v.x, v.y, v.z}; }

  Vec pixel(int x, int y) const {
    const Vec eye{-1.5, 2.9, -9}, forward = unit(Vec{0.15, 0.75, 0} - eye);
    const Vec right = unit(cross({0, 1, 0}, forward)), up = cross(forward, right);
    const int grid = 4;  // 16 rays a pixel, each with its own spot on the sun
    Vec sum;
    for (int k = 0; k < grid * grid; ++k) {
      const double u = (x + (k % grid + 0.5) / grid - picture_.width / 2.0) / picture_.height;
      const double v = (picture_.height / 2.0 - y - (k / grid + 0.5) / grid) / picture_.height;
      const int spot = (7 * k + 5 * x + 11 * y) % (grid * grid);
      const Vec sun = unit(Vec{-0.55, 0.6, -0.5} + 0.05 * (spot % grid - 1.5) * Vec{0.7, 0, -0.7} +
                           0.05 * (spot / grid - 1.5) * Vec{0, 1, 0});
      sum = sum + scene_->colour(eye, unit(forward + 0.9 * (u * right + v * up)), sun, 5);
    }
    return 1.0 / (grid * grid) * sum;
  }

  std::shared_ptr<const Scene> scene_;
  Size picture_;
  int index_;
};

// --- The picture ---------------------------------------------------------------------------------

class Picture {
 public:
  explicit Picture(Size size) : size_(size), rgb_(bytes(size)) {}

  void paste(const Block& block) {
    for (int y = 0; y < block.height; ++y)
      std::copy_n(block.rgb.begin() + std::ptrdiff_t{3} * y * block.width, 3 * block.width,
                  rgb_.begin() + std::ptrdiff_t{3} * ((block.y + y) * size_.width + block.x));
  }

  void write(const std::string& file) const {
    png_image image = header();
    image.width = static_cast<png_uint_32>(size_.width);
    image.height = static_cast<png_uint_32>(size_.height);
    image.format = PNG_FORMAT_RGB;
    if (png_image_write_to_file(&image, file.c_str(), 0, rgb_.data(), 0, nullptr) == 0)
      throw std::runtime_error("can't write " + file + ": " + image.message);
  }

  static Picture read(const std::string& file) {
    png_image image = header();
    if (png_image_begin_read_from_file(&image, file.c_str()) == 0)
      throw std::runtime_error("can't read " + file + ": " + image.message);
    image.format = PNG_FORMAT_RGB;
    Picture picture{{static_cast<int>(image.width), static_cast<int>(image.height)}};
    if (png_image_finish_read(&image, nullptr, picture.rgb_.data(), 0, nullptr) == 0)
      throw std::runtime_error("can't read " + file + ": " + image.message);
    return picture;
  }

  bool operator==(const Picture& other) const {
    return size_.width == other.size_.width && size_.height == other.size_.height &&
           rgb_ == other.rgb_;
  }

 private:
  static std::size_t bytes(Size size) {
    return std::size_t{3} * static_cast<std::size_t>(size.width) *
           static_cast<std::size_t>(size.height);
  }
  static png_image header() {
    png_image image;
    std::memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    return image;
  }

  Size size_;
  std::vector<std::uint8_t> rgb_;
};

/// The serial backend has done it all before the first tile comes in: there is no progress to show.
Picture render(Size size, const apalis::GroupOptions& options) {
  // No tile has a scene of its own: the fork brings this one to each worker.
  const auto scene = std::make_shared<const Scene>();
  apalis::GroupHandler<Tile> tiles{options, std::in_place, Tile::count(size), [&](std::size_t i) {
                                     return Tile{scene, size, i};
                                   }};
  Progress progress{tiles.size(), "tiles"};
  std::vector<apalis::Token<Block>> blocks;
  for (auto tile : tiles) blocks.push_back(tile.call(&Tile::render));

  Picture picture{size};
  for (auto& block : apalis::as_completed(blocks)) {
    picture.paste(block.get());
    if (options.backend != apalis::Backend::serial) progress.one_more();
  }
  return picture;
}

int main(int argc, char** argv) try {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool check = std::erase(arguments, "--check") > 0;
  Size size{1280, 720};
  if (arguments.size() > 1)
    size = {std::atoi(arguments[0].c_str()), std::atoi(arguments[1].c_str())};
  const std::string file = arguments.size() > 2 ? arguments[2] : "render.png";
  if (arguments.size() == 1 || arguments.size() > 3 || size.width < 1 || size.height < 1 ||
      size.width > 20'000 || size.height > 20'000) {
    std::fprintf(stderr, "usage: %s [WIDTH HEIGHT [FILE]] [--check]\n", argv[0]);
    return 2;
  }

  std::printf("%d x %d pixels, %zu tiles, %d workers\n", size.width, size.height, Tile::count(size),
              apalis::cpu_count());
  const Picture picture = render(size, {});
  picture.write(file);
  std::printf("see %s\n", file.c_str());
  if (!check) return 0;

  std::puts("once more, in this process alone");
  const bool same = render(size, {.backend = apalis::Backend::serial}) == picture;
  const bool kept = Picture::read(file) == picture;
  std::printf("%s, %s\n", same ? "the same picture" : "ANOTHER PICTURE",
              kept ? "and the file has it" : "and the file HAS NOT");
  return same && kept ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
