# SPDX-License-Identifier: BSL-1.0
#
# Headers, the library, the CMake package and the pkg-config file. All are relocatable.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/apalis")
set(generated_dir "${PROJECT_BINARY_DIR}/package")

install(
  TARGETS apalis
  EXPORT apalis-targets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  INCLUDES
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/apalis"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/apalis-config.cmake.in" "${generated_dir}/apalis-config.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${generated_dir}/apalis-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${generated_dir}/apalis-config.cmake" "${generated_dir}/apalis-config-version.cmake"
        DESTINATION "${package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/cmake/dependencies.cmake" DESTINATION "${package_dir}"
        RENAME apalis-dependencies.cmake)
install(EXPORT apalis-targets NAMESPACE apalis:: DESTINATION "${package_dir}")

# The pkg-config file finds its prefix from where it lies; absolute directories stay as they are.
set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(IS_ABSOLUTE "${pc_dir}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH up "/prefix/${pc_dir}" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
endif()
foreach(kind IN ITEMS INCLUDE LIB)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}DIR}")
    set(pc_${kind}dir "${CMAKE_INSTALL_${kind}DIR}")
  else()
    set(pc_${kind}dir "\${prefix}/${CMAKE_INSTALL_${kind}DIR}")
  endif()
endforeach()
# cereal has no pkg-config file: where it lies outside the compiler's own paths, say so.
set(pc_cflags "")
get_target_property(dirs cereal::cereal INTERFACE_INCLUDE_DIRECTORIES)
foreach(dir IN LISTS dirs)
  if(IS_ABSOLUTE "${dir}" AND NOT dir IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
    string(APPEND pc_cflags " -I${dir}")
  endif()
endforeach()
# A static library is of no use without what it calls.
get_target_property(kind apalis TYPE)
if(kind STREQUAL "STATIC_LIBRARY")
  set(pc_requires "Requires: fmt")
else()
  set(pc_requires "Requires.private: fmt")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/apalis.pc.in" "${generated_dir}/apalis.pc" @ONLY)
install(FILES "${generated_dir}/apalis.pc" DESTINATION "${pc_dir}")
