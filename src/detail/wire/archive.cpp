// SPDX-License-Identifier: BSL-1.0
#include <apalis/detail/wire/archive.hpp>
#include <utility>

// Not in the header: every user would compile cereal's maps for them.

namespace apalis {

OutputArchive::OutputArchive(detail::wire::Buffer& buffer)
    : cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision>(this),
      buffer_(buffer),
      begin_(buffer.size()) {}
OutputArchive::~OutputArchive() = default;

InputArchive::InputArchive(detail::wire::Reader& reader)
    : Base(this), reader_(reader), begin_(reader.position()) {}
InputArchive::~InputArchive() = default;

void InputArchive::registerSharedPointer(std::uint32_t id, std::shared_ptr<void> pointer) {
  shared_.add(id & ~cereal::detail::msb_32bit);
  Base::registerSharedPointer(id, std::move(pointer));
}

std::shared_ptr<void> InputArchive::getSharedPointer(std::uint32_t id) {
  shared_.check(id);
  return Base::getSharedPointer(id);
}

}  // namespace apalis
