// SPDX-License-Identifier: BSL-1.0
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/cpu.hpp>
#include <apalis/detail/sys/fd.hpp>
#include <apalis/detail/sys/load.hpp>
#include <apalis/detail/sys/per_process.hpp>
#include <array>
#include <charconv>
#include <cmath>

namespace apalis::detail::sys {
namespace {

constexpr double minute = 60;  // the average's time constant

double seconds(AverageOfOwn::Time from, AverageOfOwn::Time to) noexcept {
  return std::max(std::chrono::duration<double>(to - from).count(), 0.0);
}

/// The number that `text` begins with; `text` loses it and the `end` that must follow.
std::optional<unsigned> take_number(std::string_view& text, char end) noexcept {
  unsigned value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto length = static_cast<std::size_t>(rest - text.data());
  if (error != std::errc{} || length == text.size() || *rest != end) return std::nullopt;
  text.remove_prefix(length + 1);
  return value;
}

/// "12.34 " in hundredths: std::from_chars knows floating numbers in some libraries only.
std::optional<double> take_average(std::string_view& text) noexcept {
  const auto whole = take_number(text, '.');
  const auto digits = text.find(' ');
  const auto hundredths = take_number(text, ' ');
  if (!whole || !hundredths || digits != 2) return std::nullopt;
  return *whole + *hundredths / 100.0;
}

constinit PerProcess<LoadWatch> this_process;

}  // namespace

std::optional<MachineLoad> parse_load(std::string_view text) noexcept {
  const auto one_minute = take_average(text);
  const auto five_minutes = take_average(text);
  const auto quarter_of_an_hour = take_average(text);
  const auto runnable = take_number(text, '/');
  if (!one_minute || !five_minutes || !quarter_of_an_hour || !runnable) return std::nullopt;
  constexpr unsigned most = 1U << 30;
  return MachineLoad{*one_minute, static_cast<int>(std::min(*runnable, most))};
}

std::optional<MachineLoad> machine_load(const LoadFiles& files) noexcept {
  // Opened each time, which is two thirds of the time that this takes: a descriptor kept for good
  // could be closed, and its number given to another file, by a program that closes all it finds.
  const Fd file(::open(files.machine.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::array<char, 128> text;
  const auto size = ::read(file.get(), text.data(), text.size());
  if (size <= 0) return std::nullopt;
  return parse_load({text.data(), static_cast<std::size_t>(size)});
}

double process_cpu_seconds() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void AverageOfOwn::add(double task_seconds, Time from, Time to) noexcept {
  const double length = seconds(from, to);
  const double added =
      length > 0 ? task_seconds / length * -std::expm1(-length / minute) : task_seconds / minute;
  const Time later = std::max(time_, to);
  value_ = at(later) + added * std::exp(-seconds(to, later) / minute);
  time_ = later;
}

double AverageOfOwn::at(Time now) const noexcept {
  return value_ * std::exp(-seconds(time_, now) / minute);
}

CoreCounts core_counts() {
  const int usable = usable_cores();
  return {.usable = usable,
          .online = std::max(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)), usable)};
}

double crowding(double tasks_of_others, CoreCounts cores) noexcept {
  const double elsewhere = cores.online - cores.usable;
  return std::max(tasks_of_others - elsewhere, 0.0) / cores.usable;
}

LoadWatch::Crowding LoadWatch::look(Own own, Time now) {
  const auto load = machine_load(files_);
  double average_of_own = own.running_workers;
  {
    const std::lock_guard lock{mutex_};
    // When the time before the first look was spent, nobody knows: by one thread, up to now.
    const double fresh = std::max(own.cpu_seconds - cpu_seconds_, 0.0);
    const auto start = last_look_.value_or(
        now - std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(fresh)));
    own_.add(fresh, start, now);
    cpu_seconds_ = std::max(cpu_seconds_, own.cpu_seconds);
    last_look_ = std::max(now, start);
    average_of_own = std::max(average_of_own, own_.at(now));
  }
  if (!load) return {};
  constexpr int who_asks = 1;
  return {.average = crowding(load->average - average_of_own, cores_),
          .now = crowding(load->runnable - who_asks - own.running_workers, cores_)};
}

void LoadWatch::note_workers(double task_seconds, Time from, Time to) noexcept {
  const std::lock_guard lock{mutex_};
  own_.add(task_seconds, from, to);
}

LoadWatch& load_watch() {
  return this_process.get();
}

}  // namespace apalis::detail::sys
