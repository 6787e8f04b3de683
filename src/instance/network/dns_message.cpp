#include "instance/network/dns_message.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace strata::instance::dns {
namespace {

constexpr std::uint16_t is_response = 0x8000, opcode = 0x7800, authoritative = 0x0400, truncated = 0x0200,
                        recursion_desired = 0x0100, recursion_available = 0x0080;
constexpr std::size_t longest_label = 63, longest_name = 255, question_tail = 4;
constexpr std::uint32_t seconds_to_live = 5; // a container's address may be another after its next start

std::uint16_t number_at(Bytes message, std::size_t at) {
    return static_cast<std::uint16_t>(message[at] << 8 | message[at + 1]);
}

// The name at `at`, without compression, which no question has; `at` is behind it then.
std::optional<std::string> name_at(Bytes message, std::size_t& at) {
    std::string name;
    const auto begin = at;
    while (at < message.size() && at - begin <= longest_name) {
        const std::size_t length = message[at++];
        if (length == 0) {
            return name;
        }
        if (length > longest_label || length > message.size() - at) {
            return std::nullopt;
        }
        name += name.empty() ? "" : ".";
        for (const auto byte : message.subspan(at, length)) {
            name += byte == '.' ? '?' : static_cast<char>(std::tolower(byte));
        }
        at += length;
    }
    return std::nullopt;
}

class Writer {
public:
    explicit Writer(Bytes question) : message_(question.begin(), question.end()) {}

    void put(std::uint16_t number) {
        message_.push_back(static_cast<std::uint8_t>(number >> 8));
        message_.push_back(static_cast<std::uint8_t>(number));
    }

    void put_at(std::size_t at, std::uint16_t number) {
        message_[at] = static_cast<std::uint8_t>(number >> 8);
        message_[at + 1] = static_cast<std::uint8_t>(number);
    }

    void put_record(std::uint16_t type, Bytes data) {
        constexpr std::uint16_t name_of_the_question = 0xC000 | header_size;
        put(name_of_the_question);
        put(type);
        put(class_in);
        put(0);
        put(seconds_to_live);
        put(static_cast<std::uint16_t>(data.size()));
        message_.insert(message_.end(), data.begin(), data.end());
    }

    [[nodiscard]] std::size_t size() const { return message_.size(); }

    std::vector<std::uint8_t> take() { return std::move(message_); }

private:
    std::vector<std::uint8_t> message_;
};

std::vector<std::uint8_t> encoded(const std::string& name) {
    std::vector<std::uint8_t> bytes;
    std::size_t begin = 0;
    while (begin < name.size()) {
        const auto end = std::min(name.find('.', begin), name.size());
        const auto length = std::min(end - begin, longest_label);
        bytes.push_back(static_cast<std::uint8_t>(length));
        bytes.insert(bytes.end(), name.begin() + static_cast<std::ptrdiff_t>(begin),
                     name.begin() + static_cast<std::ptrdiff_t>(begin + length));
        begin = end + 1;
    }
    bytes.push_back(0);
    return bytes;
}

using Record = std::pair<std::uint16_t, std::vector<std::uint8_t>>;

std::vector<Record> asked_for(const Query& query, const Records& records) {
    std::vector<Record> all;
    const auto is_asked = [&](std::uint16_t type) { return query.type == type || query.type == type_any; };
    for (const auto address : is_asked(type_a) ? records.addresses : std::vector<Address>{}) {
        all.push_back({type_a,
                       {static_cast<std::uint8_t>(address >> 24), static_cast<std::uint8_t>(address >> 16),
                        static_cast<std::uint8_t>(address >> 8), static_cast<std::uint8_t>(address)}});
    }
    for (const auto& address : is_asked(type_aaaa) ? records.addresses6 : std::vector<Address6>{}) {
        all.push_back({type_aaaa, {address.begin(), address.end()}});
    }
    for (const auto& name : is_asked(type_ptr) ? records.names : std::vector<std::string>{}) {
        all.push_back({type_ptr, encoded(name)});
    }
    return all;
}

} // namespace

std::optional<Query> parse_query(Bytes message) {
    constexpr std::size_t questions = 4, answers = 6;
    if (message.size() < header_size || message.size() > longest_query) {
        return std::nullopt;
    }
    Query query{.id = number_at(message, 0), .flags = number_at(message, 2)};
    if ((query.flags & (is_response | opcode)) != 0 || number_at(message, questions) != 1 ||
        number_at(message, answers) != 0) {
        return std::nullopt;
    }
    auto at = header_size;
    auto name = name_at(message, at);
    if (!name || message.size() - at < question_tail) {
        return std::nullopt;
    }
    query.name = std::move(*name);
    query.type = number_at(message, at);
    query.klass = number_at(message, at + 2);
    query.size = at + question_tail;
    return query;
}

bool is_answer(Bytes message, Bytes query, std::uint16_t id) {
    const auto parsed = parse_query(query);
    if (!parsed || message.size() < parsed->size || number_at(message, 0) != id ||
        (number_at(message, 2) & is_response) == 0) {
        return false;
    }
    const auto asked = query.subspan(header_size, parsed->size - header_size);
    return std::ranges::equal(asked, message.subspan(header_size, asked.size()));
}

void set_id(std::span<std::uint8_t> message, std::uint16_t id) {
    message[0] = static_cast<std::uint8_t>(id >> 8);
    message[1] = static_cast<std::uint8_t>(id);
}

std::vector<std::uint8_t> make_answer(Bytes query, const Query& parsed, Code code, const Records& records,
                                      std::size_t longest) {
    Writer writer(query.first(parsed.size));
    auto flags =
        static_cast<std::uint16_t>(is_response | authoritative | recursion_available |
                                   (parsed.flags & recursion_desired) | static_cast<std::uint16_t>(code));
    std::uint16_t count = 0;
    for (const auto& [type, data] : asked_for(parsed, records)) {
        constexpr std::size_t record_size = 12; // before the data
        if (writer.size() + record_size + data.size() > longest) {
            flags |= truncated;
            break;
        }
        writer.put_record(type, data);
        ++count;
    }
    constexpr std::size_t flags_at = 2, questions_at = 4, answers_at = 6, others_at = 8, more_at = 10;
    writer.put_at(flags_at, flags);
    writer.put_at(questions_at, 1);
    writer.put_at(answers_at, count);
    writer.put_at(others_at, 0);
    writer.put_at(more_at, 0);
    return writer.take();
}

std::optional<Address> address_in_name(const std::string& name) {
    unsigned parts[4] = {};
    int end = 0;
    constexpr unsigned most = 255;
    const bool read = std::sscanf(name.c_str(), "%3u.%3u.%3u.%3u.in-addr.arpa%n", &parts[3], &parts[2],
                                  &parts[1], &parts[0], &end) == 4 &&
                      static_cast<std::size_t>(end) == name.size();
    if (!read || std::ranges::any_of(parts, [](unsigned part) { return part > most; })) {
        return std::nullopt;
    }
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3];
}

} // namespace strata::instance::dns
