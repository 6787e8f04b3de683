#include "base/state_stream.hpp"

#include "base/bytes.hpp"

#include <algorithm>
#include <array>

namespace strata {
namespace {

constexpr std::uint8_t section_mark = 'S', field_mark = 'F';
constexpr std::size_t length_size = 4;

} // namespace

void StateWriter::put(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void StateWriter::put_name(std::string_view name) {
    name = name.substr(0, 255);
    bytes_.push_back(static_cast<std::byte>(name.size()));
    put(std::as_bytes(std::span(name)));
}

void StateWriter::section(std::string_view name) {
    section_ = name;
    field_.clear();
    bytes_.push_back(std::byte{section_mark});
    put_name(name);
}

void StateWriter::block(std::string_view name, std::span<std::byte> bytes) {
    bytes_.push_back(std::byte{field_mark});
    put_name(name == field_ ? std::string_view{} : name);
    field_ = name;
    std::array<std::byte, length_size> length{};
    store_le(length.data(), static_cast<std::uint32_t>(bytes.size()));
    put(length);
    put(bytes);
}

void StateWriter::refuse(std::string_view name) {
    if (refused_.empty()) {
        refused_ = section_ + ": field " + std::string(name) + ": cannot be saved";
    }
}

Result<void> StateWriter::result() const {
    if (!refused_.empty()) {
        return fail(refused_);
    }
    return {};
}

std::span<const std::byte> StateReader::take(std::size_t size) {
    const auto taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
}

std::uint8_t StateReader::take_byte() {
    const auto taken = take(1);
    return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken.front());
}

std::string StateReader::take_name() {
    const auto taken = take(take_byte());
    std::string name(taken.size(), '\0');
    std::ranges::transform(taken, name.begin(), [](std::byte b) { return static_cast<char>(b); });
    return name;
}

void StateReader::fail_with(std::string_view field, std::string_view what) {
    if (error_.empty()) {
        error_.append("saved state of ")
            .append(section_)
            .append(": field ")
            .append(field)
            .append(": ")
            .append(what);
    }
}

void StateReader::section(std::string_view name) {
    if (!error_.empty()) {
        return;
    }
    const bool marked = take_byte() == section_mark;
    const std::string found = marked ? take_name() : std::string{};
    if (found != name) {
        error_.append("saved state: expected ").append(name);
        error_.append(found.empty() ? ", found more fields or the end" : ", found ").append(found);
    }
    section_ = name;
    field_.clear();
}

void StateReader::block(std::string_view name, std::span<std::byte> bytes) {
    if (!error_.empty()) {
        return;
    }
    if (take_byte() != field_mark) {
        fail_with(name, "missing");
        return;
    }
    std::string found = take_name();
    if (found.empty()) {
        found = field_;
    }
    if (found != name) {
        fail_with(name, "found " + found + " instead");
        return;
    }
    const auto length = take(length_size);
    if (length.size() != length_size || load_le<std::uint32_t>(length.data()) != bytes.size() ||
        rest_.size() < bytes.size()) {
        fail_with(name, "has another size");
        return;
    }
    field_ = name;
    std::ranges::copy(take(bytes.size()), bytes.begin());
}

void StateReader::refuse(std::string_view name) { fail_with(name, "impossible value"); }

Result<void> StateReader::result() const {
    if (!error_.empty()) {
        return fail(error_);
    }
    if (!rest_.empty()) {
        return fail("saved state of " + section_ + ": more fields than expected");
    }
    return {};
}

} // namespace strata
