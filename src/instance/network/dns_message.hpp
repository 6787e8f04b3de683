// Messages of the domain name system: RFC 1035, section 4, and RFC 3596. What comes from a container or a
// server is hostile: it is read with bounds, and what is not understood is not passed on.
#pragma once

#include "instance/network/netlink.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strata::instance::dns {

using Bytes = std::span<const std::uint8_t>;

enum : std::uint16_t { type_a = 1, type_ptr = 12, type_aaaa = 28, type_any = 255, class_in = 1 };
enum class Code : std::uint8_t {
    good = 0,
    format_error = 1,
    server_failure = 2,
    no_such_name = 3,
    refused = 5
};

inline constexpr std::size_t header_size = 12, longest_query = 4096, longest_datagram = 512; // without EDNS

struct Query {
    std::uint16_t id = 0, flags = 0, type = 0, klass = 0;
    std::string name{};   // in lower case, its labels with dots between; a dot in a label is a '?'
    std::size_t size = 0; // of header and question
};

// One question, and nothing of another kind; what stands behind the question is left alone.
[[nodiscard]] std::optional<Query> parse_query(Bytes message);
// Whether a message could be the answer to `query`: the same question under the number `id`.
[[nodiscard]] bool is_answer(Bytes message, Bytes query, std::uint16_t id);
void set_id(std::span<std::uint8_t> message, std::uint16_t id);

struct Records {
    std::vector<Address> addresses{};
    std::vector<Address6> addresses6{};
    std::vector<std::string> names{}; // for PTR
};

// An answer with the records that the question asks for, at most so many bytes: what does not fit is left
// out, and the message says so (TC).
[[nodiscard]] std::vector<std::uint8_t> make_answer(Bytes query, const Query& parsed, Code code,
                                                    const Records& records, std::size_t longest);

// The address that a name in in-addr.arpa asks for.
[[nodiscard]] std::optional<Address> address_in_name(const std::string& name);

} // namespace strata::instance::dns
