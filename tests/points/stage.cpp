// SPDX-License-Identifier: BSL-1.0
#include "stage.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace points {
namespace {

constexpr std::chrono::seconds patience{30};
constexpr std::size_t most_executions = 8192;

/// By the title that the library gave this process; the kernel keeps 15 characters of it.
Role role_of_this_process() noexcept {
  char name[17] = {};
  ::prctl(PR_GET_NAME, name);
  const std::string_view title{name};
  if (title == "apalis: scribe") return Role::worker;
  if (title == "apalis: scribe ") return Role::spare;
  if (title == "apalis: fork se") return Role::server;
  return Role::parent;
}

template <class Condition>
bool holds_soon(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

struct Stage::Page {
  std::atomic<int> role{-1};
  std::atomic<int> point{-1};
  std::atomic<int> time{0};
  std::atomic<bool> killed{false};
  std::array<std::array<std::atomic<int>, point_count>, role_count> reached{};
  std::atomic<std::size_t> executions{0};
  std::array<std::atomic<int>, most_executions> executed{};

  std::atomic<int>& count(Role role_asked, Point point_asked) {
    return reached.at(static_cast<std::size_t>(role_asked))
        .at(static_cast<std::size_t>(point_asked));
  }
};

Stage::Page* Stage::page_ = nullptr;

const char* name_of(Point point) {
  switch (point) {
    case Point::child_born:
      return "child_born";
    case Point::child_made:
      return "child_made";
    case Point::child_taken:
      return "child_taken";
    case Point::child_considered:
      return "child_considered";
    case Point::child_begun:
      return "child_begun";
    case Point::child_ran:
      return "child_ran";
    case Point::child_attachment:
      return "child_attachment";
    case Point::child_piece:
      return "child_piece";
    case Point::child_replied:
      return "child_replied";
    case Point::child_released:
      return "child_released";
    case Point::child_finished:
      return "child_finished";
    case Point::child_asleep:
      return "child_asleep";
    case Point::child_leaving:
      return "child_leaving";
    case Point::child_closing:
      return "child_closing";
    case Point::child_closed:
      return "child_closed";
    case Point::parent_accepted:
      return "parent_accepted";
    case Point::parent_piece:
      return "parent_piece";
    case Point::parent_sent:
      return "parent_sent";
    case Point::parent_taking:
      return "parent_taking";
    case Point::parent_settled:
      return "parent_settled";
    case Point::parent_asleep:
      return "parent_asleep";
    case Point::parent_mourning:
      return "parent_mourning";
    case Point::parent_salvaged:
      return "parent_salvaged";
    case Point::parent_replaced:
      return "parent_replaced";
  }
  throw std::logic_error("a point of no known name");
}

std::vector<Point> child_points() {
  std::vector<Point> points;
  for (int i = 0; i < static_cast<int>(first_parent_point); ++i)
    if (const auto point = static_cast<Point>(i); point != Point::child_leaving)
      points.push_back(point);
  return points;
}

std::vector<Point> parent_points() {
  std::vector<Point> points;
  for (auto i = static_cast<int>(first_parent_point); i < static_cast<int>(point_count); ++i)
    points.push_back(static_cast<Point>(i));
  return points;
}

Stage::Stage() {
  if (page_ != nullptr) throw std::logic_error("two stages");
  void* memory =
      ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  page_ = ::new (memory) Page;
  apalis::detail::on_protocol_point = &Stage::arrive;
}

Stage::~Stage() {
  apalis::detail::on_protocol_point = nullptr;
  ::munmap(static_cast<void*>(page_), sizeof(Page));
  page_ = nullptr;
}

void Stage::kill(Role role, Point point, int time) {
  page_->role = static_cast<int>(role);
  page_->point = static_cast<int>(point);
  page_->time = time;
}

bool Stage::killed() const {
  return page_->killed;
}

int Stage::reached(Role role, Point point) const {
  return page_->count(role, point);
}

void Stage::await(Role role, Point point, int before) const {
  if (!holds_soon([&] { return killed() || reached(role, point) > before; }))
    throw std::runtime_error(std::string{"nobody came to "} + name_of(point));
}

void Stage::await_parent_asleep() {
  auto& count = page_->count(Role::parent, Point::parent_asleep);
  // Its first sleep may be one that it had announced before it sent this call.
  (void)holds_soon([&, before = count.load()] { return count > before + 1; });
}

void Stage::record(int id) {
  page_->executed.at(page_->executions++) = id;
}

std::vector<int> Stage::executed() const {
  std::vector<int> ids(page_->executions);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = page_->executed.at(i);
  return ids;
}

void Stage::arrive(Point point) noexcept {
  const Role role = role_of_this_process();
  const int time = ++page_->count(role, point);
  if (page_->role != static_cast<int>(role) || page_->point != static_cast<int>(point) ||
      page_->time != time)
    return;
  page_->killed = true;
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

}  // namespace points
