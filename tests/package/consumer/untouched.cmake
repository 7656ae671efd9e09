# SPDX-License-Identifier: BSL-1.0
#
# apalis leaves its parent as it was: remember_settings() before add_subdirectory, check_settings()
# after it.

set(watched_variables
    BUILD_SHARED_LIBS
    BUILD_TESTING
    CMAKE_ARCHIVE_OUTPUT_DIRECTORY
    CMAKE_BUILD_TYPE
    CMAKE_CXX_CLANG_TIDY
    CMAKE_CXX_EXTENSIONS
    CMAKE_CXX_FLAGS
    CMAKE_CXX_FLAGS_DEBUG
    CMAKE_CXX_FLAGS_RELEASE
    CMAKE_CXX_FLAGS_RELWITHDEBINFO
    CMAKE_CXX_STANDARD
    CMAKE_CXX_STANDARD_REQUIRED
    CMAKE_EXE_LINKER_FLAGS
    CMAKE_EXPORT_COMPILE_COMMANDS
    CMAKE_INTERPROCEDURAL_OPTIMIZATION
    CMAKE_LIBRARY_OUTPUT_DIRECTORY
    CMAKE_MODULE_PATH
    CMAKE_POSITION_INDEPENDENT_CODE
    CMAKE_RUNTIME_OUTPUT_DIRECTORY
    CMAKE_SHARED_LINKER_FLAGS
    THREADS_PREFER_PTHREAD_FLAG)
set(watched_properties COMPILE_DEFINITIONS COMPILE_OPTIONS INCLUDE_DIRECTORIES LINK_LIBRARIES
                       LINK_OPTIONS TESTS)

macro(remember_settings)
  foreach(variable IN LISTS watched_variables)
    set(before_${variable} "${${variable}}")
  endforeach()
  foreach(property IN LISTS watched_properties)
    get_directory_property(before_${property} ${property})
  endforeach()
endmacro()

macro(check_settings)
  foreach(variable IN LISTS watched_variables)
    if(NOT "${${variable}}" STREQUAL "${before_${variable}}")
      message(SEND_ERROR
                "apalis changed ${variable} from '${before_${variable}}' to '${${variable}}'")
    endif()
  endforeach()
  foreach(property IN LISTS watched_properties)
    get_directory_property(after ${property})
    if(NOT "${after}" STREQUAL "${before_${property}}")
      message(SEND_ERROR "apalis changed the directory property ${property} to '${after}'")
    endif()
  endforeach()

  # Of a subproject the parent wants the library: no tests, examples, benchmarks or tools beside it.
  get_property(targets DIRECTORY "${APALIS_SOURCE}" PROPERTY BUILDSYSTEM_TARGETS)
  if(NOT targets STREQUAL "apalis")
    message(SEND_ERROR "apalis as a subproject makes more targets than its library: ${targets}")
  endif()
  get_property(directories DIRECTORY "${APALIS_SOURCE}" PROPERTY SUBDIRECTORIES)
  if(directories)
    message(SEND_ERROR "apalis as a subproject enters ${directories}")
  endif()

  # Its users get no flags from it, and it brings no warnings and no sanitizers of its own.
  foreach(property IN ITEMS INTERFACE_COMPILE_OPTIONS INTERFACE_LINK_OPTIONS
                            INTERFACE_COMPILE_DEFINITIONS)
    get_target_property(value apalis ${property})
    if(value)
      message(SEND_ERROR "apalis as a subproject sets ${property} to '${value}'")
    endif()
  endforeach()
  foreach(property IN ITEMS COMPILE_OPTIONS LINK_OPTIONS)
    get_target_property(value apalis ${property})
    if(value MATCHES "-W|-f(no-)?sanitize|-O|-g|-march|--coverage")
      message(SEND_ERROR "apalis as a subproject sets ${property} to '${value}'")
    endif()
  endforeach()

  # Nothing is left in the cache but our own options and what the search for dependencies leaves.
  get_directory_property(cached CACHE_VARIABLES)
  foreach(variable IN LISTS cached)
    if(variable MATCHES "^(BUILD_|CMAKE_.*FLAGS$)" AND NOT variable IN_LIST watched_variables
       AND NOT variable MATCHES "^CMAKE_(EXE|MODULE|SHARED|STATIC)_LINKER_FLAGS$")
      message(SEND_ERROR "apalis leaves ${variable} in the cache")
    endif()
  endforeach()
endmacro()
