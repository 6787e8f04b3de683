#include "units/message.hpp"

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace strata::units {
namespace {

// The end of the complete type that begins the signature.
std::size_t end_of_type(const std::string& signature) {
    std::size_t at = 0;
    while (at < signature.size() && signature[at] == 'a') {
        ++at;
    }
    if (at == signature.size() || signature[at] != '(') {
        return at + 1;
    }
    for (std::size_t depth = 0; at < signature.size(); ++at) {
        depth += signature[at] == '(' ? 1 : 0;
        depth -= signature[at] == ')' ? 1 : 0;
        if (depth == 0) {
            break;
        }
    }
    return at + 1;
}

template <class Number>
int append_number(sd_bus_message* message, char type, const std::string& word) {
    Number number{};
    const char* start = word.data() + (word.starts_with('+') ? 1 : 0);
    const auto read = std::from_chars(start, word.data() + word.size(), number);
    const bool whole = read.ec == std::errc{} && read.ptr == word.data() + word.size();
    return whole ? sd_bus_message_append_basic(message, type, &number) : -ERANGE;
}

Refusal refusal_of(const sd_bus_error& error, int status) {
    return {error.name != nullptr ? error.name : "",
            error.message != nullptr ? error.message : std::strerror(-status)};
}

} // namespace

Message::Message(sd_bus* bus, const char* service, const char* object, const char* interface,
                 const char* method)
    : bus_(bus), status_(sd_bus_message_new_method_call(bus, &message_, service, object, interface, method)) {
}

int Message::add_basic(char type, const std::string& word) {
    switch (type) {
    case 'y': return append_number<std::uint8_t>(message_, type, word);
    case 'n': return append_number<std::int16_t>(message_, type, word);
    case 'q': return append_number<std::uint16_t>(message_, type, word);
    case 'i': return append_number<std::int32_t>(message_, type, word);
    case 'u': return append_number<std::uint32_t>(message_, type, word);
    case 'x': return append_number<std::int64_t>(message_, type, word);
    case 't': return append_number<std::uint64_t>(message_, type, word);
    case 'd': return append_number<double>(message_, type, word);
    case 'b': {
        const int flag = word == "true" ? 1 : 0;
        return sd_bus_message_append_basic(message_, type, &flag);
    }
    default: return sd_bus_message_append_basic(message_, type, word.c_str()); // s, o, g
    }
}

// Takes the words of one value of a complete type.
int Message::add_value(const std::string& signature, Words& words) {
    if (signature.starts_with('(')) {
        const std::string inner = signature.substr(1, signature.size() - 2);
        int status = sd_bus_message_open_container(message_, 'r', inner.c_str());
        for (std::size_t at = 0; at < inner.size() && status >= 0;) {
            const auto size = end_of_type(inner.substr(at));
            status = add_value(inner.substr(at, size), words);
            at += size;
        }
        return status < 0 ? status : sd_bus_message_close_container(message_);
    }
    if (words.empty()) {
        return -EINVAL;
    }
    const std::string& word = words.front();
    words = words.subspan(1);
    if (!signature.starts_with('a')) {
        return add_basic(signature.front(), word);
    }
    const std::string element = signature.substr(1);
    int status = sd_bus_message_open_container(message_, 'a', element.c_str());
    for (long count = std::strtol(word.c_str(), nullptr, 10); count > 0 && status >= 0; --count) {
        status = add_value(element, words);
    }
    return status < 0 ? status : sd_bus_message_close_container(message_);
}

void Message::add(const char* type, const std::string& word) {
    status_ = status_ < 0 ? status_ : add_basic(*type, word);
}

void Message::add_array(const char* type, const std::vector<std::string>& words) {
    std::vector<std::string> counted{std::to_string(words.size())};
    counted.insert(counted.end(), words.begin(), words.end());
    Words rest(counted);
    status_ = status_ < 0 ? status_ : add_value(type, rest);
}

std::string Message::add_properties(Words words) {
    status_ = status_ < 0 ? status_ : sd_bus_message_open_container(message_, 'a', "(sv)");
    while (words.size() >= 2 && status_ >= 0) {
        const std::string& name = words[0];
        const std::string& signature = words[1];
        words = words.subspan(2);
        int status = sd_bus_message_open_container(message_, 'r', "sv");
        status = status < 0 ? status : add_basic('s', name);
        status = status < 0 ? status : sd_bus_message_open_container(message_, 'v', signature.c_str());
        status = status < 0 ? status : add_value(signature, words);
        status = status < 0 ? status : sd_bus_message_close_container(message_);
        status_ = status < 0 ? status : sd_bus_message_close_container(message_);
        if (status_ < 0) {
            return "property " + name + " cannot have this value: " + std::strerror(-status_);
        }
    }
    status_ = status_ < 0 ? status_ : sd_bus_message_close_container(message_);
    return "";
}

Answer Message::call_and_read(bool path) {
    if (status_ < 0) {
        return std::unexpected(Refusal{"", std::strerror(-status_)});
    }
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message* reply = nullptr;
    const char* text = "";
    int status = sd_bus_call(bus_, message_, 0, &error, &reply);
    if (status >= 0 && path) {
        status = sd_bus_message_read(reply, "o", &text);
    }
    const Answer answer = status >= 0 ? Answer(text) : std::unexpected(refusal_of(error, status));
    sd_bus_error_free(&error);
    sd_bus_message_unref(reply);
    return answer;
}

Answer Message::call() { return call_and_read(false); }

Answer Message::call_for_path() { return call_and_read(true); }

Answer get_text(sd_bus* bus, const std::string& service, const std::string& unit, const std::string& type,
                const char* property) {
    char* path = nullptr;
    char* text = nullptr;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int status = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &path);
    if (status >= 0) {
        status = sd_bus_get_property_string(bus, service.c_str(), path, (service + "." + type).c_str(),
                                            property, &error, &text);
    }
    const Answer answer = status >= 0 ? Answer(text) : std::unexpected(refusal_of(error, status));
    std::free(path);
    std::free(text);
    sd_bus_error_free(&error);
    return answer;
}

} // namespace strata::units
