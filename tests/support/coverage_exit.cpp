// SPDX-License-Identifier: BSL-1.0
//
// Linked in where lines are counted. Workers leave by _exit(), which writes no counts: without this
// all that runs in them would look untested. The linker leads their _exit() here (--wrap).

// The names are those of the compiler's runtime and of the linker.
extern "C" {
void __gcov_dump();
[[noreturn]] void __real__exit(int status);

[[noreturn]] void __wrap__exit(int status) {
  __gcov_dump();
  __real__exit(status);
}
}
