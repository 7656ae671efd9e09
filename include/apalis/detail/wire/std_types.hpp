// SPDX-License-Identifier: BSL-1.0
#pragma once

// cereal's functions for the types of the standard library, so that they cross without any include
// by the user. <cereal/types/complex.hpp> and valarray.hpp are left out for their compile time,
// memory.hpp for what it includes: see pointers.hpp; durations are bytes.

#include <cereal/types/array.hpp>
#include <cereal/types/bitset.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/forward_list.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/queue.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/stack.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/unordered_set.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>

#include <apalis/detail/wire/pointers.hpp>
