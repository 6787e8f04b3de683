// A method call that is made of words.
#pragma once

#include "units/systemd.hpp"

namespace strata::units {

class Message {
public:
    Message(sd_bus* bus, const char* service, const char* object, const char* interface, const char* method);

    ~Message() { sd_bus_message_unref(message_); }

    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;

    // A basic value of the type.
    void add(const char* type, const std::string& word);
    // An array of basic values.
    void add_array(const char* type, const std::vector<std::string>& words);
    // An array of names and variants. What is wrong with them, or nothing.
    [[nodiscard]] std::string add_properties(Words words);

    [[nodiscard]] Answer call();
    // The object that the reply names.
    [[nodiscard]] Answer call_for_path();

private:
    int add_basic(char type, const std::string& word);
    int add_value(const std::string& signature, Words& words);
    Answer call_and_read(bool path);

    sd_bus* bus_;
    sd_bus_message* message_ = nullptr;
    int status_ = 0; // of what was added, negative from the first failure on
};

// A property of a unit; `type` is "Scope" or "Slice".
[[nodiscard]] Answer get_text(sd_bus* bus, const std::string& service, const std::string& unit,
                              const std::string& type, const char* property);

} // namespace strata::units
