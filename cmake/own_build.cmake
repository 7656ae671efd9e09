# SPDX-License-Identifier: BSL-1.0
#
# apalis_own_build(<target>): warnings, sanitizers, coverage and checks of the standard library for
# our own targets, when apalis is the top-level project. Everything is PRIVATE to the target:
# nothing of it reaches a parent project, a consumer, or the installed package.

function(apalis_own_build target)
  if(NOT PROJECT_IS_TOP_LEVEL)
    return()
  endif()
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  if(APALIS_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  target_compile_definitions(${target} PRIVATE $<$<NOT:$<CONFIG:Release>>:_GLIBCXX_ASSERTIONS>)

  if(APALIS_SANITIZE)
    set(sanitize -fsanitize=${APALIS_SANITIZE})
    target_compile_options(${target} PRIVATE ${sanitize} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE ${sanitize})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # False in instrumented code, as g++'s manual says.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
      if(APALIS_SANITIZE MATCHES "undefined")
        # g++ takes the class of a member pointer for that of the object it is adjusted to, and so
        # reports correct calls of inherited methods. clang++ checks them as they are.
        target_compile_options(${target} PRIVATE -fno-sanitize=vptr)
      endif()
      if(APALIS_SANITIZE MATCHES "thread")
        # Warns of each fence, as ThreadSanitizer does not follow them.
        target_compile_options(${target} PRIVATE -Wno-tsan)
      endif()
    endif()
  endif()
  if(APALIS_COVERAGE)
    # Workers are forked and threads write too: counters have to be atomic.
    target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic)
    target_link_options(${target} PRIVATE --coverage)
  endif()
endfunction()
