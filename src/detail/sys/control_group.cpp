// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/sys/control_group.hpp>
#include <fstream>
#include <sstream>

namespace apalis::detail::sys {
namespace {

void add_enclosing(std::vector<GroupFolder>& folders, const std::string& root, std::string path,
                   bool unified) {
  while (path.size() > 1 && path.front() == '/') {
    folders.push_back({root + path, unified});
    path.resize(path.find_last_of('/'));
  }
  folders.push_back({root, unified});
}

bool has_name(const std::string& list, std::string_view wanted) {
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');)
    if (name == wanted) return true;
  return false;
}

}  // namespace

std::vector<GroupFolder> control_groups(std::string_view controller, const GroupFiles& files) {
  std::vector<GroupFolder> folders;
  std::ifstream file(files.membership);
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = line.substr(second + 1);
    if (controllers.empty()) {
      add_enclosing(folders, files.root, path, true);
    } else if (has_name(controllers, controller)) {
      add_enclosing(folders, files.root + "/" + controllers, path, false);
      if (controllers != controller)
        add_enclosing(folders, files.root + "/" + std::string(controller), path, false);
    }
  }
  return folders;
}

}  // namespace apalis::detail::sys
