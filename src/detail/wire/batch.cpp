// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/batch.hpp>
#include <apalis/detail/wire/objects.hpp>

namespace apalis::detail::wire {

void throw_bad_status() {
  throw Malformed("malformed reply: a call of the batch neither succeeded nor failed");
}

namespace {

Reader read_call(Reader& batch) {
  std::uint64_t size = batch.read_size();
  if (size == 0) {
    std::uint8_t alignment;
    batch.read(&alignment, sizeof alignment);
    size = batch.read_size();
    batch.align(alignment);
  }
  return Reader(batch.take(static_cast<std::size_t>(size)));
}

}  // namespace

void write_failure(Buffer& result, std::string_view where) {
  *result.grow(1) = std::byte{static_cast<std::uint8_t>(CallStatus::failed)};
  const std::size_t before = result.size();
  std::uint64_t size = 0;
  result.append(&size, sizeof size);
  encode_current_exception(result, where);
  size = result.size() - before - sizeof size;
  std::memcpy(result.data() + before, &size, sizeof size);
}

namespace {

template <class Find>
void run_all(Reader& args, Buffer& result, Find find) {
  const std::size_t count = args.read_count(1);
  for (std::size_t i = 0; i < count; ++i) {
    const auto object = find();
    Reader call = read_call(args);
    const Entry* const entry = read_entry(call);
    write_outcome(result, entry->name, [&] { entry->invoke(object(), call, result); });
  }
}

}  // namespace

void run_batch(void* object, Reader& args, Buffer& result) {
  run_all(args, result, [object] { return [object] { return object; }; });
}

void run_batch_of_many(void* objects, Reader& args, Buffer& result) {
  const auto& place = *static_cast<const Objects*>(objects);
  run_all(args, result, [&] {
    const auto index = static_cast<std::uint32_t>(args.read_size());
    return [&place, index] { return place.at(index); };
  });
}

std::exception_ptr read_failure(Reader& reader, pid_t worker) {
  std::uint64_t size;
  reader.read(&size, sizeof size);
  Reader failure = reader.part(static_cast<std::size_t>(size));
  return decode_exception(failure, worker);
}

}  // namespace apalis::detail::wire
