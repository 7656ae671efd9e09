# SPDX-License-Identifier: BSL-1.0
#
# The consumer's program, once apalis::apalis is there.

enable_testing()
add_executable(consumer "${CMAKE_CURRENT_LIST_DIR}/main.cpp" "${CMAKE_CURRENT_LIST_DIR}/second.cpp")
target_link_libraries(consumer PRIVATE apalis::apalis)
add_test(NAME consumer COMMAND consumer)
