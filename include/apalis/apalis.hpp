// SPDX-License-Identifier: BSL-1.0
#pragma once

// All of apalis. Each header here also stands alone.

#include <apalis/as_completed.hpp>
#include <apalis/barrier.hpp>
#include <apalis/by_value.hpp>
#include <apalis/call.hpp>
#include <apalis/carry.hpp>
#include <apalis/coroutine.hpp>
#include <apalis/cpu_count.hpp>
#include <apalis/custom_backend.hpp>
#include <apalis/each.hpp>
#include <apalis/engine.hpp>
#include <apalis/engine_options.hpp>
#include <apalis/error.hpp>
#include <apalis/event_loop.hpp>
#include <apalis/fork_server.hpp>
#include <apalis/gather.hpp>
#include <apalis/group_handler.hpp>
#include <apalis/handler.hpp>
#include <apalis/log.hpp>
#include <apalis/options.hpp>
#include <apalis/outcome.hpp>
#include <apalis/ranges.hpp>
#include <apalis/ref.hpp>
#include <apalis/register_exception.hpp>
#include <apalis/shared_array.hpp>
#include <apalis/task_group.hpp>
#include <apalis/this_worker.hpp>
#include <apalis/token.hpp>
#include <apalis/trivially_sendable.hpp>
#include <apalis/view.hpp>
