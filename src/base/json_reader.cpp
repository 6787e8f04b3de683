#include "base/json_reader.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

namespace strata {
namespace {

constexpr int deepest = 64;

// Two readers of one document must not see different members, so a repeated one is refused; so is a document
// nested deeper than any of the specifications'.
struct StrictParser {
    std::vector<std::set<std::string>> keys;
    std::string fault{};

    bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
        if (depth > deepest && fault.empty()) {
            fault = "it is nested too deeply";
        }
        if (event == Json::parse_event_t::object_start) {
            keys.emplace_back();
        } else if (event == Json::parse_event_t::object_end && !keys.empty()) {
            keys.pop_back();
        } else if (event == Json::parse_event_t::key && !keys.empty() && fault.empty() &&
                   !keys.back().insert(parsed.get<std::string>()).second) {
            fault = fmt::format("member '{}' is there twice", parsed.get<std::string>());
        }
        return fault.empty();
    }
};

bool is_object(const Json& value) { return value.is_object(); }

bool is_array(const Json& value) { return value.is_array(); }

bool is_string(const Json& value) { return value.is_string(); }

bool is_boolean(const Json& value) { return value.is_boolean(); }

bool is_integer(const Json& value) { return value.is_number_integer(); }

bool is_unsigned(const Json& value) { return value.is_number_unsigned(); }

} // namespace

JsonNode JsonNode::find(std::string_view key) const {
    const Json* object = expect(is_object, "an object");
    const std::string place = place_.empty() ? std::string(key) : fmt::format("{}.{}", place_, key);
    if (object == nullptr) {
        return {*reader_, nullptr, place};
    }
    const auto member = object->find(key);
    const bool present = member != object->end() && !member->is_null();
    return {*reader_, present ? &*member : nullptr, place};
}

JsonNode JsonNode::at(std::string_view key) const {
    auto node = find(key);
    if (!node && value_ != nullptr) {
        node.refuse("is missing");
    }
    return node;
}

const Json* JsonNode::expect(bool (*is_kind)(const Json&), std::string_view name) const {
    if (value_ == nullptr || is_kind(*value_)) {
        return value_;
    }
    refuse(fmt::format("is not {}", name));
    return nullptr;
}

std::string JsonNode::string() const {
    const Json* value = expect(is_string, "a string");
    return value != nullptr ? value->get<std::string>() : std::string{};
}

std::uint64_t JsonNode::number(std::uint64_t most) const {
    const Json* value = expect(is_unsigned, "a non-negative whole number");
    const auto number = value != nullptr ? value->get<std::uint64_t>() : 0;
    if (number > most) {
        refuse(fmt::format("is larger than {}", most));
        return 0;
    }
    return number;
}

std::int64_t JsonNode::integer(std::int64_t least, std::int64_t most) const {
    const Json* value = expect(is_integer, "a whole number");
    if (value == nullptr) {
        return 0;
    }
    const bool too_large = value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX;
    const auto number = too_large ? INT64_MAX : value->get<std::int64_t>();
    if (too_large || number < least || number > most) {
        refuse(fmt::format("is not between {} and {}", least, most));
        return 0;
    }
    return number;
}

bool JsonNode::boolean() const {
    const Json* value = expect(is_boolean, "true or false");
    return value != nullptr && value->get<bool>();
}

std::vector<JsonNode> JsonNode::items() const {
    std::vector<JsonNode> nodes;
    if (const Json* list = expect(is_array, "a list")) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            nodes.emplace_back(*reader_, &(*list)[i], fmt::format("{}[{}]", place_, i));
        }
    }
    return nodes;
}

std::vector<std::string> JsonNode::strings() const {
    std::vector<std::string> texts;
    for (const auto& item : items()) {
        texts.push_back(item.string());
    }
    return texts;
}

std::vector<std::string> JsonNode::keys() const {
    std::vector<std::string> names;
    if (const Json* object = expect(is_object, "an object")) {
        for (const auto& [name, value] : object->items()) {
            names.push_back(name);
        }
    }
    return names;
}

std::map<std::string, std::string> JsonNode::string_map() const {
    std::map<std::string, std::string> map;
    for (const auto& key : keys()) {
        map[key] = find(key).string();
    }
    return map;
}

Json JsonNode::raw() const { return value_ != nullptr ? *value_ : Json(); }

void JsonNode::refuse(std::string_view why) const { reader_->refuse(place_, why); }

JsonReader::JsonReader(std::string what) : what_(std::move(what)), document_(std::make_unique<Json>()) {}

JsonReader::~JsonReader() = default;

JsonNode JsonReader::parse(std::string_view text) {
    StrictParser strict;
    // The parser is called by reference: its findings are wanted afterwards.
    *document_ = Json::parse(
        text,
        [&strict](int depth, Json::parse_event_t event, Json& value) { return strict(depth, event, value); },
        false);
    if (!strict.fault.empty()) {
        refuse("", strict.fault);
    } else if (document_->is_discarded()) {
        refuse("", "it is not valid JSON");
    }
    return {*this, error_ ? nullptr : document_.get(), ""};
}

void JsonReader::refuse(std::string_view place, std::string_view why) {
    if (!error_) {
        error_ = Error{fmt::format("{}: {}{}{}", what_, place, place.empty() ? "" : " ", why)};
    }
}

std::string dump(const Json& document) {
    return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace strata
