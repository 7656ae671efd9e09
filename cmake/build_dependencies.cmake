# SPDX-License-Identifier: BSL-1.0
#
# What apalis' own sources need on top of dependencies.cmake, and no user of it: not installed.

# Headers only, for Boost.Interprocess. 1.74 is the oldest that is tested.
if(NOT TARGET Boost::headers)
  find_package(Boost CONFIG QUIET)
  apalis_headers_target(Boost Boost::headers boost/interprocess/mapped_region.hpp)
endif()
if(NOT TARGET Boost::headers)
  string(APPEND apalis_missing_dependencies
         "\n  Boost's headers: install them (Debian: libboost-dev) or set Boost_ROOT to their prefix.")
endif()
