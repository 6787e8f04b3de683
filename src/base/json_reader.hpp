// Strict reading of JSON from outside: each value is asked for by name and kind, and the first that is
// missing or of another kind becomes the error, which names its place: "manifest sha256:…: layers[2].size is
// not a number".
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

using Json = nlohmann::json;

class JsonReader;

// A value of the document, or the lack of one. After an error every reading gives an empty value, so that a
// parser reads straight on and asks once, at the end, whether all was well.
class JsonNode {
public:
    JsonNode(JsonReader& reader, const Json* value, std::string place)
        : reader_(&reader), value_(value), place_(std::move(place)) {}

    // False for what is absent or null.
    explicit operator bool() const { return value_ != nullptr; }

    // A member that must be there, and one that may.
    [[nodiscard]] JsonNode at(std::string_view key) const;
    [[nodiscard]] JsonNode find(std::string_view key) const;

    [[nodiscard]] std::string string() const;
    [[nodiscard]] std::uint64_t number(std::uint64_t most = INT64_MAX) const;
    // A whole number of either sign.
    [[nodiscard]] std::int64_t integer(std::int64_t least = INT64_MIN, std::int64_t most = INT64_MAX) const;
    [[nodiscard]] bool boolean() const;
    // Absent lists and maps are empty ones.
    [[nodiscard]] std::vector<std::string> strings() const;
    [[nodiscard]] std::map<std::string, std::string> string_map() const;
    [[nodiscard]] std::vector<std::string> keys() const;
    [[nodiscard]] std::vector<JsonNode> items() const;

    // The value as it stands, for what is passed on unread; null where there is none.
    [[nodiscard]] Json raw() const;

    // Reports what the caller found wrong with this value.
    void refuse(std::string_view why) const;

private:
    // The value when `is_kind` holds; else nothing, and an error unless it is absent.
    [[nodiscard]] const Json* expect(bool (*is_kind)(const Json&), std::string_view name) const;

    JsonReader* reader_;
    const Json* value_;
    std::string place_;
};

class JsonReader {
public:
    // `what` begins each message: "manifest sha256:…".
    explicit JsonReader(std::string what);
    ~JsonReader();

    JsonReader(const JsonReader&) = delete;
    JsonReader& operator=(const JsonReader&) = delete;

    // The document's root.
    [[nodiscard]] JsonNode parse(std::string_view text);

    [[nodiscard]] const std::optional<Error>& error() const { return error_; }

    void refuse(std::string_view place, std::string_view why);

private:
    std::string what_;
    std::unique_ptr<Json> document_;
    std::optional<Error> error_;
};

// Text of a document that Strata makes: members sorted, no blanks, so that equal content has equal digests.
[[nodiscard]] std::string dump(const Json& document);

} // namespace strata
