// SPDX-License-Identifier: BSL-1.0
#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <apalis/detail/sys/code_names.hpp>
#include <apalis/detail/sys/fd.hpp>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace apalis::detail::sys {
namespace {

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

constexpr std::size_t longest_name = 4096;  // a mangled one

struct FreeMemory {
  // NOLINTNEXTLINE(cppcoreguidelines-no-malloc): what the C++ ABI gives is from malloc
  void operator()(char* text) const noexcept { std::free(text); }
};

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, FreeMemory> text{
      abi::__cxa_demangle(name, nullptr, nullptr, &status)};
  return status == 0 && text != nullptr ? text.get() : name;
}

/// One address on its way to a name.
struct Place {
  std::uint64_t address = 0;
  std::uint64_t looked_up = 0;  // within the calling instruction, for a return address
  std::string module;           // empty: in none that is known
  std::uint64_t load_bias = 0;
  bool in_executable = false;
  std::string function;
  std::uint64_t function_start = 0;
};

Place find_place(std::uint64_t address, bool returns_there, const ModuleMap& known) {
  Place place;
  place.address = address;
  place.looked_up = returns_there ? address - 1 : address;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): only looked up, never followed
  const auto* code = reinterpret_cast<const void*>(static_cast<std::uintptr_t>(place.looked_up));
  Dl_info info{};
  link_map* module = nullptr;
  if (!known.find(code).contains(code) ||
      ::dladdr1(code, &info, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0 ||
      info.dli_fname == nullptr || module == nullptr)
    return place;
  const std::string_view path = info.dli_fname;
  place.module = path.substr(path.find_last_of('/') + 1);
  place.load_bias = module->l_addr;
  place.in_executable = module->l_name == nullptr || module->l_name[0] == '\0';
  if (info.dli_sname != nullptr) {
    place.function = demangled(info.dli_sname);
    place.function_start = reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  }
  return place;
}

template <class T>
bool read_at(const Fd& file, std::uint64_t offset, T& value) noexcept {
  return ::pread(file.get(), &value, sizeof value, static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(sizeof value);
}

std::string read_name(const Fd& file, std::uint64_t offset) {
  std::array<char, longest_name> bytes;
  const auto size = ::pread(file.get(), bytes.data(), bytes.size() - 1, static_cast<off_t>(offset));
  bytes[static_cast<std::size_t>(std::max<ssize_t>(size, 0))] = '\0';
  return demangled(bytes.data());
}

/// Names those of `places` that lie in a function of this symbol table.
void search(const Fd& file, const Section& table, const Section& names,
            std::vector<Place>& places) {
  std::array<Symbol, 1024> chunk;
  for (std::uint64_t at = 0; at + sizeof(Symbol) <= table.sh_size; at += sizeof chunk) {
    const auto wanted = std::min<std::uint64_t>(sizeof chunk, table.sh_size - at);
    const auto got = ::pread(file.get(), chunk.data(), static_cast<std::size_t>(wanted),
                             static_cast<off_t>(table.sh_offset + at));
    if (got <= 0) return;
    for (std::size_t i = 0; i < static_cast<std::size_t>(got) / sizeof(Symbol); ++i) {
      const Symbol& symbol = chunk[i];
      if ((symbol.st_info & 0xf) != STT_FUNC || symbol.st_name >= names.sh_size) continue;
      for (Place& place : places) {
        const auto start = symbol.st_value + place.load_bias;
        if (!place.in_executable || !place.function.empty() ||
            place.looked_up - start >= symbol.st_size)
          continue;
        place.function = read_name(file, names.sh_offset + symbol.st_name);
        place.function_start = start;
      }
    }
  }
}

/// By the symbol table of the executable's file, which is still the one that runs, even where a
/// newer one has its name.
void name_by_executable(std::vector<Place>& places) {
  if (std::none_of(places.begin(), places.end(), [](const Place& place) {
        return place.in_executable && place.function.empty();
      }))
    return;
  const Fd file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
  Header header;
  if (!file || !read_at(file, 0, header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_shentsize != sizeof(Section))
    return;
  const auto section = [&](std::uint64_t index, Section& result) {
    return index < header.e_shnum &&
           read_at(file, header.e_shoff + index * sizeof(Section), result);
  };
  for (std::uint64_t i = 0; i < header.e_shnum; ++i) {
    Section table, names;
    if (section(i, table) && table.sh_type == SHT_SYMTAB && section(table.sh_link, names))
      return search(file, table, names, places);
  }
}

CodeName words(Place& place) {
  if (place.module.empty()) return {fmt::format("{:#x}", place.address), {}};
  auto text = fmt::format("{}(+{:#x})", place.module, place.address - place.load_bias);
  if (!place.function.empty())
    text += fmt::format(" {}+{:#x}", place.function, place.address - place.function_start);
  return {std::move(text), std::move(place.function)};
}

}  // namespace

std::vector<CodeName> code_names(std::span<const std::uint64_t> stack, const ModuleMap& known) {
  std::vector<Place> places;
  places.reserve(stack.size());
  for (const auto address : stack)
    places.push_back(find_place(address, !places.empty(), known));
  name_by_executable(places);
  std::vector<CodeName> result;
  result.reserve(places.size());
  for (Place& place : places) result.push_back(words(place));
  return result;
}

}  // namespace apalis::detail::sys
