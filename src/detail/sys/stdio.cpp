// SPDX-License-Identifier: BSL-1.0
#include <stdio.h>
#include <stdio_ext.h>

#include <apalis/detail/sys/stdio.hpp>
#include <iostream>
#include <streambuf>
#include <typeinfo>

#ifdef __GLIBCXX__
#include <ext/stdio_sync_filebuf.h>
#endif

#ifdef __GLIBC__
// glibc's chain of all open streams; exported since 2.2.5, though in no header.
extern "C" __attribute__((weak)) FILE* _IO_list_all;  // NOLINT
#endif

namespace apalis::detail::sys {
namespace {

/// Access to a stream buffer's put area, which only derived classes have.
template <class C>
struct PutArea : std::basic_streambuf<C> {
  using Buffer = std::basic_streambuf<C>;
  static bool is_empty(Buffer* buffer) {
    return (buffer->*&PutArea::pptr)() == (buffer->*&PutArea::pbase)();
  }
  static void drop(Buffer* buffer) {
    (buffer->*&PutArea::setp)((buffer->*&PutArea::pbase)(), (buffer->*&PutArea::epptr)());
  }
};

/// Whether the stream only passes on to stdio, which has the bytes then.
template <class C>
bool is_synced_with_stdio(const std::basic_streambuf<C>& buffer) {
#ifdef __GLIBCXX__
  return typeid(buffer) == typeid(__gnu_cxx::stdio_sync_filebuf<C>);
#else
  return (void)buffer, false;
#endif
}

template <class C>
void drop_unwritten(std::basic_ostream<C>& stream) {
  auto* buffer = stream.rdbuf();
  if (buffer != nullptr && !PutArea<C>::is_empty(buffer)) PutArea<C>::drop(buffer);
}

/// Does nothing where there is nothing to do: in a short-lived child, a call that is the first into
/// some part of a library costs page faults.
template <class C>
void write_out(std::basic_ostream<C>& stream) {
  auto* buffer = stream.rdbuf();
  if (buffer != nullptr && !is_synced_with_stdio(*buffer)) stream.flush();
}

bool has_unwritten(FILE* file) {
#ifdef __GLIBC__
  return file->_IO_write_ptr > file->_IO_write_base || (file->_mode > 0 && ::__fpending(file) > 0);
#else
  return ::__fpending(file) > 0;
#endif
}

/// Calls `use` for each open stdio stream, as far as the C library lets us see them.
template <class Use>
void for_each_file(Use use) {
#ifdef __GLIBC__
  if (&_IO_list_all != nullptr) {
    for (FILE* file = _IO_list_all; file != nullptr; file = file->_chain) use(file);
    return;
  }
#endif
  use(stdout);
  use(stderr);
}

}  // namespace

void drop_inherited_output() noexcept {
  drop_unwritten(std::cout);
  drop_unwritten(std::cerr);
  drop_unwritten(std::clog);
  drop_unwritten(std::wcout);
  drop_unwritten(std::wcerr);
  drop_unwritten(std::wclog);
  for_each_file([](FILE* file) {
    if (has_unwritten(file)) ::__fpurge(file);
  });
}

void flush_output() noexcept {
  try {
    write_out(std::cout);
    write_out(std::clog);
    write_out(std::wcout);
    write_out(std::wclog);
  } catch (...) {  // the stream's owner asked for exceptions; there is nobody left to tell here
  }
  for_each_file([](FILE* file) {
    if (has_unwritten(file)) ::fflush(file);
  });
}

}  // namespace apalis::detail::sys
