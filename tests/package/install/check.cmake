# SPDX-License-Identifier: BSL-1.0
#
# cmake -DSOURCE= -DBINARY= -DCONFIG= -DPREFIX= -P check.cmake
#
# Installs into PREFIX by way of another place, so that what the other tests use has been moved, and
# checks that it is complete, and bound to neither place nor to the source tree.

cmake_minimum_required(VERSION 3.22)

file(REMOVE_RECURSE "${PREFIX}" "${PREFIX}.first")
execute_process(
  COMMAND "${CMAKE_COMMAND}" --install "${BINARY}" --prefix "${PREFIX}.first" --config "${CONFIG}"
  COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
file(RENAME "${PREFIX}.first" "${PREFIX}")

file(GLOB_RECURSE headers RELATIVE "${SOURCE}/include" "${SOURCE}/include/*")
list(SORT headers)
file(GLOB_RECURSE installed_headers RELATIVE "${PREFIX}/include" "${PREFIX}/include/*")
list(SORT installed_headers)
if(NOT headers STREQUAL installed_headers)
  message(FATAL_ERROR "The headers of the tree and the installed ones differ:\n${headers}\n"
                      "${installed_headers}")
endif()

foreach(pattern IN ITEMS "*/libapalis.*" "*/apalis-config.cmake" "*/apalis-config-version.cmake"
                         "*/apalis-dependencies.cmake" "*/apalis-targets.cmake" "*/apalis.pc"
                         "*/LICENSE")
  file(GLOB_RECURSE found "${PREFIX}/${pattern}")
  if(NOT found)
    message(FATAL_ERROR "${pattern} is not installed.")
  endif()
endforeach()

file(GLOB_RECURSE texts "${PREFIX}/*.cmake" "${PREFIX}/*.pc" "${PREFIX}/*.hpp")
foreach(text IN LISTS texts)
  file(READ "${text}" content)
  foreach(place IN ITEMS "${SOURCE}" "${PREFIX}.first")
    string(FIND "${content}" "${place}" position)
    if(NOT position EQUAL -1)
      message(FATAL_ERROR "${text} names ${place}: it could not be moved.")
    endif()
  endforeach()
endforeach()

# Only our sources include Boost: what is installed does without.
foreach(text IN LISTS texts)
  file(READ "${text}" content)
  if(content MATCHES "Boost::|find_package\\(Boost|[<\"]boost/")
    message(FATAL_ERROR "${text} needs Boost: whoever uses apalis would have to have it.")
  endif()
endforeach()

file(GLOB_RECURSE strays RELATIVE "${PREFIX}" "${PREFIX}/*")
list(FILTER strays EXCLUDE REGEX "apalis|doc/")
if(strays)
  message(FATAL_ERROR "Installed under a name that is not ours: ${strays}")
endif()
