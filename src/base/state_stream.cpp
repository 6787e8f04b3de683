#include "base/state_stream.hpp"

#include <algorithm>

namespace strata {
namespace {

constexpr std::uint8_t section_mark = 'S', field_mark = 'F';

} // namespace

void StateWriter::put_name(std::string_view name) {
    name = name.substr(0, 255);
    bytes_.push_back(static_cast<std::byte>(name.size()));
    const auto text = std::as_bytes(std::span(name));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
}

void StateWriter::section(std::string_view name) {
    section_ = name;
    field_.clear();
    bytes_.push_back(std::byte{section_mark});
    put_name(name);
}

void StateWriter::integer(std::string_view name, std::uint64_t& value, std::size_t bytes) {
    bytes_.push_back(std::byte{field_mark});
    bytes_.push_back(static_cast<std::byte>(bytes));
    put_name(name == field_ ? std::string_view{} : name);
    field_ = name;
    for (std::size_t i = 0; i < bytes; ++i) {
        bytes_.push_back(static_cast<std::byte>(value >> (i * 8)));
    }
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

std::uint8_t StateReader::take_byte() {
    if (rest_.empty()) {
        return 0;
    }
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
}

std::string StateReader::take_name() {
    const std::size_t length = std::min<std::size_t>(take_byte(), rest_.size());
    std::string name(length, '\0');
    std::ranges::transform(rest_.first(length), name.begin(),
                           [](std::byte b) { return static_cast<char>(b); });
    rest_ = rest_.subspan(length);
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

void StateReader::integer(std::string_view name, std::uint64_t& value, std::size_t bytes) {
    if (!error_.empty()) {
        return;
    }
    if (take_byte() != field_mark) {
        fail_with(name, "missing");
        return;
    }
    const std::size_t size = take_byte();
    std::string found = take_name();
    if (found.empty()) {
        found = field_;
    }
    if (found != name) {
        fail_with(name, "found " + found + " instead");
        return;
    }
    if (size != bytes || size > rest_.size()) {
        fail_with(name, "has another size");
        return;
    }
    field_ = name;
    std::uint64_t loaded = 0;
    for (std::size_t i = 0; i < bytes; ++i) {
        loaded |= static_cast<std::uint64_t>(take_byte()) << (i * 8);
    }
    value = loaded;
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
