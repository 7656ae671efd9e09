// SPDX-License-Identifier: BSL-1.0
#include <stdio.h>
#include <stdio_ext.h>

#include <apalis/detail/sys/stdio.hpp>
#include <iostream>
#include <streambuf>

#ifdef __GLIBC__
// glibc's chain of all open streams; exported since 2.2.5, though in no header.
extern "C" __attribute__((weak)) FILE* _IO_list_all;  // NOLINT
#endif

namespace apalis::detail::sys {
namespace {

/// Access to a stream buffer's put area, which only derived classes have.
template <class C>
struct PutArea : std::basic_streambuf<C> {
  static void drop(std::basic_streambuf<C>* buffer) {
    if (buffer == nullptr) return;
    auto* const first = (buffer->*&PutArea::pbase)();
    auto* const next = (buffer->*&PutArea::pptr)();
    if (next > first) (buffer->*&PutArea::setp)(first, (buffer->*&PutArea::epptr)());
  }
};

}  // namespace

void drop_inherited_output() noexcept {
  for (std::ostream* stream : {&std::cout, &std::cerr, &std::clog})
    PutArea<char>::drop(stream->rdbuf());
  for (std::wostream* stream : {&std::wcout, &std::wcerr, &std::wclog})
    PutArea<wchar_t>::drop(stream->rdbuf());
#ifdef __GLIBC__
  if (&_IO_list_all != nullptr) {
    for (FILE* file = _IO_list_all; file != nullptr; file = file->_chain)
      if (::__fpending(file) > 0) ::__fpurge(file);
    return;
  }
#endif
  for (FILE* file : {stdout, stderr})
    if (::__fpending(file) > 0) ::__fpurge(file);
}

void flush_output() noexcept {
  try {
    std::cout.flush();
    std::clog.flush();
    std::wcout.flush();
    std::wclog.flush();
  } catch (...) {  // the stream's owner asked for exceptions; there is nobody left to tell here
  }
  ::fflush(nullptr);
}

}  // namespace apalis::detail::sys
