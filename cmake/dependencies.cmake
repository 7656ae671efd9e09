# SPDX-License-Identifier: BSL-1.0
#
# What apalis and its users need. Included by the build and, installed as apalis-dependencies.cmake, by
# apalis-config.cmake, so that both look in the same way. Targets that exist already are taken as
# they are: a parent project may bring any of them. What is missing is told in
# apalis_missing_dependencies, one sentence each; the includer decides what that means.

set(apalis_missing_dependencies "")

# Not every distribution ships a package file for libraries of headers: the headers alone will do.
function(apalis_headers_target package target header)
  if(TARGET ${target})
    return()
  endif()
  find_path(
    apalis_${package}_INCLUDE_DIR "${header}"
    HINTS "${${package}_ROOT}" "$ENV{${package}_ROOT}"
    PATH_SUFFIXES include)
  mark_as_advanced(apalis_${package}_INCLUDE_DIR)
  if(apalis_${package}_INCLUDE_DIR)
    add_library(${target} INTERFACE IMPORTED)
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
                                               "${apalis_${package}_INCLUDE_DIR}")
  endif()
endfunction()

if(NOT TARGET cereal::cereal)
  find_package(cereal CONFIG QUIET)
  if(TARGET cereal AND NOT TARGET cereal::cereal) # its name before 1.3.1
    add_library(cereal::cereal INTERFACE IMPORTED)
    set_target_properties(cereal::cereal PROPERTIES INTERFACE_LINK_LIBRARIES cereal)
  endif()
  apalis_headers_target(cereal cereal::cereal cereal/cereal.hpp)
endif()
if(NOT TARGET cereal::cereal)
  string(APPEND apalis_missing_dependencies
         "\n  cereal: install it (Debian: libcereal-dev) or set cereal_ROOT to its prefix.")
endif()

if(NOT TARGET fmt::fmt)
  find_package(fmt CONFIG QUIET)
endif()
if(NOT TARGET fmt::fmt)
  string(APPEND apalis_missing_dependencies
         "\n  fmt: install it (Debian: libfmt-dev) or set fmt_ROOT to its prefix.")
endif()

if(NOT TARGET Threads::Threads)
  find_package(Threads QUIET)
endif()
if(NOT TARGET Threads::Threads)
  string(APPEND apalis_missing_dependencies "\n  the thread library of the C library.")
endif()
