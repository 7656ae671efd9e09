# SPDX-License-Identifier: BSL-1.0
#
# cmake -DSOURCE= -DBINARY= -DARGS= -DGENERATOR= -DMAKE_PROGRAM= -DCXX_COMPILER= -DBUILD_TYPE=
#       -P run_consumer.cmake
#
# Configures, builds and runs a consumer's project as its user would: none of our presets.

cmake_minimum_required(VERSION 3.22)

file(REMOVE_RECURSE "${BINARY}")

function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${what} failed (${result}):\n${output}")
  endif()
  message(STATUS "${what}:\n${output}")
endfunction()

run("configuring" "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${BINARY}" -G "${GENERATOR}"
    "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" "-DCMAKE_CXX_COMPILER=${CXX_COMPILER}"
    "-DCMAKE_BUILD_TYPE=${BUILD_TYPE}" ${ARGS})
run("building" "${CMAKE_COMMAND}" --build "${BINARY}" --config "${BUILD_TYPE}" --parallel 2)
run("running" "${CMAKE_CTEST_COMMAND}" --test-dir "${BINARY}" -C "${BUILD_TYPE}"
    --output-on-failure --no-tests=error --timeout 60)
