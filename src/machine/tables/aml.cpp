#include "machine/tables/aml.hpp"

#include "base/bytes.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace strata::machine::aml {
namespace {

// Opcodes, section 20.3.
enum Op : std::uint8_t {
    zero = 0x00,
    one = 0x01,
    name_op = 0x08,
    byte_prefix = 0x0A,
    word_prefix = 0x0B,
    dword_prefix = 0x0C,
    string_prefix = 0x0D,
    qword_prefix = 0x0E,
    scope_op = 0x10,
    buffer_op = 0x11,
    package_op = 0x12,
    method_op = 0x14,
    dual_name_prefix = 0x2E,
    multi_name_prefix = 0x2F,
    extended_prefix = 0x5B,
    root_char = 0x5C,
    arg0 = 0x68,
    device_op = 0x82,
    return_op = 0xA4,
};

class Writer {
public:
    Writer& byte(unsigned value) {
        bytes_.push_back(static_cast<std::byte>(value));
        return *this;
    }

    template <std::unsigned_integral T>
    Writer& integer(T value) {
        const auto at = bytes_.size();
        bytes_.resize(at + sizeof value);
        store_le(&bytes_[at], value);
        return *this;
    }

    Writer& append(std::span<const std::byte> more) {
        bytes_.insert(bytes_.end(), more.begin(), more.end());
        return *this;
    }

    Writer& append(const Terms& terms) {
        for (const Term& term : terms) {
            append(term.bytes);
        }
        return *this;
    }

    // PkgLength, section 20.2.4: it counts itself.
    Writer& package(const Writer& body) {
        const std::size_t size = body.bytes_.size();
        if (size + 1 < 64) {
            byte(static_cast<unsigned>(size + 1));
        } else {
            unsigned following = 1; // bytes after the first, which holds four bits of the length
            while (size + 1 + following >= (std::size_t{1} << (4 + 8 * following))) {
                ++following;
            }
            const std::size_t length = size + 1 + following;
            byte(static_cast<unsigned>((following << 6) | (length & 0xF)));
            for (unsigned i = 0; i < following; ++i) {
                byte(static_cast<unsigned>((length >> (4 + 8 * i)) & 0xFF));
            }
        }
        return append(body.bytes_);
    }

    // NameString, section 20.2.2.
    Writer& name(std::string_view text) {
        if (text.starts_with('\\')) {
            byte(root_char);
            text.remove_prefix(1);
        }
        std::vector<std::string_view> segments;
        while (!text.empty()) {
            const auto dot = std::min(text.find('.'), text.size());
            segments.push_back(text.substr(0, dot));
            text.remove_prefix(std::min(dot + 1, text.size()));
        }
        if (segments.empty()) {
            byte(zero);
        } else if (segments.size() == 2) {
            byte(dual_name_prefix);
        } else if (segments.size() > 2) {
            byte(multi_name_prefix).byte(static_cast<unsigned>(segments.size()));
        }
        for (const auto segment : segments) {
            for (std::size_t i = 0; i < 4; ++i) {
                byte(static_cast<unsigned char>(i < segment.size() ? segment[i] : '_'));
            }
        }
        return *this;
    }

    [[nodiscard]] Term term() && { return {std::move(bytes_)}; }

    [[nodiscard]] Resource resource() && { return {std::move(bytes_)}; }

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

Term named_package(std::initializer_list<std::uint8_t> opcode, std::string_view name, const Terms& body) {
    Writer inner, outer;
    inner.name(name).append(body);
    for (const auto value : opcode) {
        outer.byte(value);
    }
    return std::move(outer.package(inner)).term();
}

// An address space descriptor, section 6.4.3.5: of a bus, so a producer; its ends are fixed.
enum class SpaceType : std::uint8_t { memory = 0, io = 1, bus = 2 };

template <std::unsigned_integral T>
Resource window(std::uint8_t tag, SpaceType type, std::uint8_t type_flags, T first, T last) {
    constexpr unsigned min_and_max_fixed = 0x0C;
    Writer writer;
    writer.byte(tag).integer(static_cast<std::uint16_t>(3 + 5 * sizeof(T)));
    writer.byte(static_cast<unsigned>(type)).byte(min_and_max_fixed).byte(type_flags);
    writer.integer(T{0}).integer(first).integer(last).integer(T{0}); // granularity, ends, translation
    return std::move(writer.integer(static_cast<T>(last - first + 1))).resource();
}

constexpr std::uint8_t word_tag = 0x88, dword_tag = 0x87, qword_tag = 0x8A;
constexpr std::uint8_t entire_range = 0x03; // of I/O: ISA and other addresses
constexpr std::uint8_t read_write = 0x01;   // of memory: not cacheable

} // namespace

Term integer(std::uint64_t value) {
    Writer writer;
    if (value <= 1) {
        writer.byte(static_cast<unsigned>(value));
    } else if (value <= std::numeric_limits<std::uint8_t>::max()) {
        writer.byte(byte_prefix).byte(static_cast<unsigned>(value));
    } else if (value <= std::numeric_limits<std::uint16_t>::max()) {
        writer.byte(word_prefix).integer(static_cast<std::uint16_t>(value));
    } else if (value <= std::numeric_limits<std::uint32_t>::max()) {
        writer.byte(dword_prefix).integer(static_cast<std::uint32_t>(value));
    } else {
        writer.byte(qword_prefix).integer(value);
    }
    return std::move(writer).term();
}

Term string(std::string_view text) {
    Writer writer;
    return std::move(writer.byte(string_prefix).append(std::as_bytes(std::span(text))).byte(0)).term();
}

// Three letters of five bits, four hexadecimal digits, most significant byte first: section 19.3.4, EISAID.
Term eisa_id(std::string_view id) {
    const auto digit = [](char c) { return static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10); };
    std::uint32_t value = 0;
    for (const char c : id.substr(0, 3)) {
        value = (value << 5) | (static_cast<std::uint32_t>(c) & 0x1F);
    }
    for (const char c : id.substr(3)) {
        value = (value << 4) | digit(c);
    }
    Writer writer;
    return std::move(writer.byte(dword_prefix).integer(byte_swap(value))).term();
}

Term package(const Terms& elements) {
    Writer inner, outer;
    inner.byte(static_cast<unsigned>(elements.size())).append(elements);
    return std::move(outer.byte(package_op).package(inner)).term();
}

Term buffer(std::span<const std::byte> contents) {
    Writer inner, outer;
    inner.append(integer(contents.size()).bytes).append(contents);
    return std::move(outer.byte(buffer_op).package(inner)).term();
}

Term resources(std::initializer_list<Resource> descriptors) {
    constexpr unsigned end_tag = 0x79;
    Writer writer;
    for (const Resource& descriptor : descriptors) {
        writer.append(descriptor.bytes);
    }
    writer.byte(end_tag).byte(0); // checksum 0: not used
    return buffer(writer.bytes());
}

Term reference(std::string_view name) {
    Writer writer;
    return std::move(writer.name(name)).term();
}

Term name(std::string_view name, const Term& value) {
    Writer writer;
    return std::move(writer.byte(name_op).name(name).append(value.bytes)).term();
}

Term scope(std::string_view name, const Terms& body) { return named_package({scope_op}, name, body); }

Term device(std::string_view name, const Terms& body) {
    return named_package({extended_prefix, device_op}, name, body);
}

Term method(std::string_view name, unsigned arguments, const Terms& body) {
    Writer inner, outer;
    inner.name(name).byte(arguments).append(body);
    return std::move(outer.byte(method_op).package(inner)).term();
}

Term argument(unsigned number) {
    Writer writer;
    return std::move(writer.byte(arg0 + number)).term();
}

Term return_value(const Term& value) {
    Writer writer;
    return std::move(writer.byte(return_op).append(value.bytes)).term();
}

Resource io(std::uint16_t base, std::uint8_t length) {
    constexpr unsigned tag = 0x47, decodes_16_bits = 1, alignment = 1;
    Writer writer;
    writer.byte(tag).byte(decodes_16_bits).integer(base).integer(base);
    return std::move(writer.byte(alignment).byte(length)).resource();
}

Resource irq(unsigned number) {
    constexpr unsigned tag_without_flags = 0x22;
    Writer writer;
    return std::move(writer.byte(tag_without_flags).integer(static_cast<std::uint16_t>(1U << number)))
        .resource();
}

Resource memory32_fixed(std::uint32_t base, std::uint32_t length) {
    constexpr unsigned tag = 0x86;
    Writer writer;
    writer.byte(tag).integer(std::uint16_t{9}).byte(read_write);
    return std::move(writer.integer(base).integer(length)).resource();
}

Resource bus_numbers(std::uint16_t first, std::uint16_t last) {
    return window<std::uint16_t>(word_tag, SpaceType::bus, 0, first, last);
}

Resource io_window(std::uint16_t first, std::uint16_t last) {
    return window<std::uint16_t>(word_tag, SpaceType::io, entire_range, first, last);
}

Resource memory_window(std::uint32_t base, std::uint32_t length) {
    return window<std::uint32_t>(dword_tag, SpaceType::memory, read_write, base, base + (length - 1));
}

Resource memory_window64(std::uint64_t base, std::uint64_t length) {
    return window<std::uint64_t>(qword_tag, SpaceType::memory, read_write, base, base + (length - 1));
}

} // namespace strata::machine::aml
