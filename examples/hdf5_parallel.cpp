// SPDX-License-Identifier: BSL-1.0
//
// Simulations that write HDF5 files at the same time, and readers that read them at the same time,
// each in a handler.
//
// HDF5 keeps its identifiers, caches and open files in globals. Threads must not call it at once,
// not even for different files, unless it was built "thread-safe", as Debian's is: then one lock
// around the whole library, compression included, makes them wait for each other. A handler is a
// process, with an HDF5 of its own.
//
//   hdf5_parallel [PONDS [DIRECTORY]]     by default 4 to 8, hdf5_parallel.out
//
// The waves on each pond become datasets of a file. The same is done by threads, where the library
// allows them, and one after the other; h5dump has to find the same numbers.

#include <hdf5.h>
#include <sys/wait.h>

#include <algorithm>
#include <apalis/apalis.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using Heights = std::vector<float>;

/// FNV-1a, a word at a time.
std::uint64_t checksum(const Heights& heights) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const float height : heights) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &height, sizeof bits);
    sum = (sum ^ bits) * 0x100000001b3;
  }
  return sum;
}

// --- What is simulated ---------------------------------------------------------------------------

/// Waves on square water between walls, after a few drops.
class Pond {
 public:
  static constexpr std::size_t side = 384;

  explicit Pond(std::size_t number) : now_(side * side), before_(side * side) {
    for (std::size_t drop = 0; drop < 3 + number; ++drop)
      fall((37 + 101 * (number + 3 * drop)) % side, (89 + 61 * (2 * number + drop)) % side);
    before_ = now_;  // at rest
  }

  void advance(int steps) {
    for (int step = 0; step < steps; ++step) {
      const float* const now = now_.data();
      float* const next = before_.data();  // each place is read before it is written
      for (std::size_t y = 1; y + 1 < side; ++y)
        for (std::size_t i = y * side + 1; i + 1 < (y + 1) * side; ++i) {
          const float around = now[i - 1] + now[i + 1] + now[i - side] + now[i + side];
          next[i] = 0.999F * (2 * now[i] - next[i] + 0.4F * (around - 4 * now[i]));
        }
      std::swap(now_, before_);
    }
  }
  const Heights& heights() const { return now_; }

 private:
  void fall(std::size_t x, std::size_t y) {
    const float radius = 24;
    for (std::size_t j = 1; j + 1 < side; ++j)
      for (std::size_t i = 1; i + 1 < side; ++i) {
        const float dx = (static_cast<float>(i) - static_cast<float>(x)) / radius;
        const float dy = (static_cast<float>(j) - static_cast<float>(y)) / radius;
        now_[j * side + i] += std::max(0.0F, 1 - dx * dx - dy * dy);
      }
  }

  Heights now_, before_;
};

// --- HDF5 ----------------------------------------------------------------------------------------

void check(herr_t status, const std::string& what) {
  if (status < 0) throw std::runtime_error("HDF5 can't " + what);
}

/// One of HDF5's identifiers, and how it is given back.
class Id {
 public:
  Id(hid_t id, herr_t (*closer)(hid_t), const std::string& what) : id_(id), close_(closer) {
    if (id < 0) throw std::runtime_error("HDF5 can't " + what);
  }
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  ~Id() {
    if (id_ >= 0) close_(id_);
  }

  hid_t get() const { return id_; }
  /// For files, where closing is writing and may fail.
  void close(const std::string& what) { check(close_(std::exchange(id_, -1)), what); }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

std::string file_name(const std::string& prefix, std::size_t pond) {
  return prefix + "_" + std::to_string(pond) + ".h5";
}
std::string dataset_name(int frame) {
  return "frame_" + std::to_string(frame);
}

/// A simulation and the open file that it writes to.
class Recorder {
 public:
  Recorder(const std::string& file, std::size_t pond)
      : file_(H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose,
              "make " + file),
        pond_(pond) {}

  /// Goes on for a while and writes the heights as one more dataset, of which it returns the
  /// checksum.
  std::uint64_t record(int steps) {
    pond_.advance(steps);
    step_ += steps;
    write(dataset_name(frames_++), pond_.heights());
    return checksum(pond_.heights());
  }
  void close() { file_.close("complete a file"); }

 private:
  void write(const std::string& name, const Heights& heights) {
    const hsize_t extent[]{Pond::side, Pond::side}, chunk[]{64, Pond::side};
    const Id space(H5Screate_simple(2, extent, nullptr), H5Sclose, "make a data space");
    const Id properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "make a property list");
    check(H5Pset_chunk(properties.get(), 2, chunk), "divide into chunks");
    check(H5Pset_shuffle(properties.get()), "shuffle bytes");
    check(H5Pset_deflate(properties.get(), 6), "compress");
    const Id dataset(H5Dcreate2(file_.get(), name.c_str(), H5T_IEEE_F32LE, space.get(), H5P_DEFAULT,
                                properties.get(), H5P_DEFAULT),
                     H5Dclose, "make dataset " + name);
    check(H5Dwrite(dataset.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, heights.data()),
          "write dataset " + name);

    const Id scalar(H5Screate(H5S_SCALAR), H5Sclose, "make a data space");
    const Id attribute(
        H5Acreate2(dataset.get(), "step", H5T_STD_I32LE, scalar.get(), H5P_DEFAULT, H5P_DEFAULT),
        H5Aclose, "make an attribute");
    check(H5Awrite(attribute.get(), H5T_NATIVE_INT, &step_), "write an attribute");
  }

  Id file_;
  Pond pond_;
  int step_ = 0, frames_ = 0;
};

struct Summary {
  std::uint64_t checksum;
  float highest;
};

/// An open file that is read from.
class Player {
 public:
  explicit Player(const std::string& file)
      : file_(H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, "open " + file) {}

  Heights read(int number) const {
    const std::string name = dataset_name(number);
    const Id dataset(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose,
                     "open dataset " + name);
    const Id space(H5Dget_space(dataset.get()), H5Sclose, "look at a data space");
    if (H5Sget_simple_extent_npoints(space.get()) != Pond::side * Pond::side)
      throw std::runtime_error("dataset " + name + " has another size");
    Heights heights(Pond::side * Pond::side);
    check(H5Dread(dataset.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, heights.data()),
          "read dataset " + name);
    return heights;
  }

  /// What is asked of a frame is found where it is read: it need not travel.
  Summary summary(int number) const {
    const Heights heights = read(number);
    return {checksum(heights), *std::max_element(heights.begin(), heights.end())};
  }

 private:
  Id file_;
};

// --- All ponds -----------------------------------------------------------------------------------

constexpr int frames = 8, steps_per_frame = 16;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The checksums of what was written: those of the first pond's frames, then the next one's.
std::vector<std::uint64_t> write_all(const std::string& prefix, std::size_t ponds,
                                     apalis::Backend backend) {
  std::vector<apalis::Handler<Recorder>> recorders;
  std::vector<apalis::Token<std::uint64_t>> written;
  for (std::size_t pond = 0; pond < ponds; ++pond) {
    // In place: a file that was open before the fork would be shared by two libraries that do not
    // know of each other.
    auto& recorder = recorders.emplace_back(apalis::Options{.backend = backend}, std::in_place,
                                            file_name(prefix, pond), pond);
    for (int frame = 0; frame < frames; ++frame)
      written.push_back(recorder.call(&Recorder::record, steps_per_frame));
    recorder.post(&Recorder::close);
  }
  auto sums = apalis::get(written);
  for (auto& recorder : recorders) recorder.drain();  // throws if a file could not be completed
  return sums;
}

struct Recordings {
  std::vector<Summary> frames;
  std::vector<Heights> last;  // of each pond
};

Recordings read_all(const std::string& prefix, std::size_t ponds, apalis::Backend backend) {
  std::vector<apalis::Handler<Player>> players;
  std::vector<apalis::Token<Summary>> summaries;
  std::vector<apalis::Token<Heights>> last;
  for (std::size_t pond = 0; pond < ponds; ++pond) {
    auto& player = players.emplace_back(apalis::Options{.backend = backend}, std::in_place,
                                        file_name(prefix, pond));
    for (int frame = 0; frame < frames; ++frame)
      summaries.push_back(player.call(&Player::summary, frame));
    last.push_back(player.call(&Player::read, frames - 1));
  }
  return {apalis::get(summaries), apalis::get(std::move(last))};
}

struct Round {
  std::vector<std::uint64_t> sums;
  Recordings recordings;
  double writing, reading;  // seconds, making the handlers included
};

Round write_and_read(const std::string& prefix, std::size_t ponds, apalis::Backend backend) {
  Round round;
  auto start = std::chrono::steady_clock::now();
  round.sums = write_all(prefix, ponds, backend);
  round.writing = seconds_since(start);
  start = std::chrono::steady_clock::now();
  round.recordings = read_all(prefix, ponds, backend);
  round.reading = seconds_since(start);
  for (std::size_t i = 0; i < round.sums.size(); ++i)
    if (round.recordings.frames[i].checksum != round.sums[i])
      throw std::runtime_error(dataset_name(static_cast<int>(i % frames)) + " of " +
                               file_name(prefix, i / frames) + " is NOT what was written");
  return round;
}

// --- The independent tool ------------------------------------------------------------------------

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("can't start " + command);
  std::string output;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  const int status = pclose(pipe);
  if (status != 0)
    throw std::runtime_error(command + " failed" +
                             (WIFEXITED(status) && WEXITSTATUS(status) == 127
                                  ? ": is h5dump installed? (Debian: hdf5-tools)"
                                  : ""));
  return output;
}

/// Lets h5dump write the last frame as bare numbers.
bool h5dump_agrees(const std::string& file, const Heights& heights) {
  output_of("h5dump -d " + dataset_name(frames - 1) + " -b NATIVE -o h5dump.bin " + file);
  std::ifstream in("h5dump.bin", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  return bytes.size() == heights.size() * sizeof(float) &&
         std::memcmp(bytes.data(), heights.data(), bytes.size()) == 0;
}

// --- What is shown -------------------------------------------------------------------------------

/// The first ponds at their last frame, side by side.
void show(const std::vector<Heights>& ponds) {
  const std::size_t rows = 12, columns = 24, height = Pond::side / rows,
                    width = Pond::side / columns;
  const std::string shades = " .:-=+*#%@";
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t pond = 0; pond < std::min<std::size_t>(3, ponds.size()); ++pond) {
      const Heights& field = ponds[pond];
      std::printf("  ");
      for (std::size_t column = 0; column < columns; ++column) {
        float sum = 0;
        for (std::size_t y = row * height; y < (row + 1) * height; ++y)
          for (std::size_t x = column * width; x < (column + 1) * width; ++x)
            sum += field[y * Pond::side + x];
        const float mean = sum / static_cast<float>(height * width);
        std::putchar(shades[static_cast<std::size_t>(std::clamp(5 + 40 * mean, 0.0F, 9.9F))]);
      }
    }
    std::puts("");
  }
}

void show(const char* how, const Round& round, const Round& serial) {
  std::printf("%-20s written in %6.3f s (x %4.2f), read in %6.3f s (x %4.2f)%s\n", how,
              round.writing, serial.writing / round.writing, round.reading,
              serial.reading / round.reading, round.sums == serial.sums ? "" : ", OTHER NUMBERS");
}

int main(int argc, char** argv) try {
  const int given = argc > 1 ? std::atoi(argv[1]) : std::clamp(apalis::cpu_count(), 4, 8);
  if (argc > 3 || given < 1 || given > 1000) {
    std::fprintf(stderr, "usage: %s [PONDS [DIRECTORY]]\n", argv[0]);
    return 2;
  }
  const auto ponds = static_cast<std::size_t>(given);
  const auto directory = std::filesystem::absolute(argc > 2 ? argv[2] : "hdf5_parallel.out");
  std::filesystem::create_directories(directory);
  std::filesystem::current_path(directory);

  unsigned major = 0, minor = 0, release = 0;
  hbool_t allows_threads = false;
  check(H5get_libversion(&major, &minor, &release), "tell its version");
  check(H5is_library_threadsafe(&allows_threads), "tell whether threads may use it");
  std::printf("HDF5 %u.%u.%u, %s\n", major, minor, release,
              allows_threads ? "thread-safe by one lock" : "not thread-safe");
  std::printf("%zu ponds of %zu x %zu, %d frames each, a file each, %d cores\n\n", ponds,
              Pond::side, Pond::side, frames, apalis::cpu_count());

  const Round handlers = write_and_read("handlers", ponds, apalis::Backend::processes);
  const Round serial = write_and_read("serial", ponds, apalis::Backend::serial);
  bool same = handlers.sums == serial.sums;
  show(handlers.recordings.last);
  std::printf("\nhighest wave of each frame of the first:");
  for (std::size_t frame = 0; frame < frames; ++frame)
    std::printf(" %.2f", handlers.recordings.frames[frame].highest);
  std::puts("\n");
  show("one after the other", serial, serial);
  show("handlers", handlers, serial);
  if (allows_threads) {
    const Round threads = write_and_read("threads", ponds, apalis::Backend::threads);
    show("threads", threads, serial);
    same = same && threads.sums == serial.sums;
  } else {
    std::puts("threads              must not");
  }

  const std::string dump = "h5dump -p -H -d " + dataset_name(frames - 1) + " ";
  std::printf("\n%s", output_of(dump + file_name("handlers", 0)).c_str());
  std::size_t confirmed = 0;
  for (std::size_t pond = 0; pond < ponds; ++pond)
    if (h5dump_agrees(file_name("handlers", pond), serial.recordings.last[pond])) ++confirmed;
  std::printf("h5dump finds the same last frame in %zu of %zu files; see %s\n", confirmed, ponds,
              directory.c_str());
  return same && confirmed == ponds ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
