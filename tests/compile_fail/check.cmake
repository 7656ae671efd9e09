# SPDX-License-Identifier: BSL-1.0
#
# cmake -DCOMPILER= -DINCLUDE_DIRECTORIES_FILE= -DIMPLICIT_INCLUDE_DIRECTORIES= -DCASE= -P check.cmake
#
# Compiles CASE twice. With -DCONTROL it has to succeed, so that the case fails for its one offence
# and nothing else. Without, it has to fail, and to print the text of each line of the case that
# reads "// EXPECT: <text>".

cmake_minimum_required(VERSION 3.22)

file(STRINGS "${CASE}" expectations REGEX "^// EXPECT: ")
if(NOT expectations)
  message(FATAL_ERROR "${CASE} has no line '// EXPECT: <part of the sentence>'.")
endif()

# One line for each sentence, and plain quotes, whatever the terminal and the language.
set(ENV{LC_ALL} C)
set(flags -std=c++20 -fsyntax-only -fmessage-length=0 -fdiagnostics-color=never)
file(STRINGS "${INCLUDE_DIRECTORIES_FILE}" dirs)
foreach(dir IN LISTS dirs)
  if(NOT dir IN_LIST IMPLICIT_INCLUDE_DIRECTORIES)
    list(APPEND flags -I "${dir}")
  endif()
endforeach()

execute_process(
  COMMAND "${COMPILER}" ${flags} -DCONTROL "${CASE}"
  RESULT_VARIABLE result
  ERROR_VARIABLE output
  OUTPUT_VARIABLE output)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "With -DCONTROL this case has to compile, and does not:\n${output}")
endif()

execute_process(
  COMMAND "${COMPILER}" ${flags} "${CASE}"
  RESULT_VARIABLE result
  ERROR_VARIABLE output
  OUTPUT_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "This compiles, and must be refused.")
endif()
foreach(line IN LISTS expectations)
  string(REGEX REPLACE "^// EXPECT: *" "" text "${line}")
  string(STRIP "${text}" text)
  string(FIND "${output}" "${text}" position)
  if(position EQUAL -1)
    message(FATAL_ERROR "It is refused, but the compiler does not say: ${text}\n"
                        "It says:\n${output}")
  endif()
endforeach()
