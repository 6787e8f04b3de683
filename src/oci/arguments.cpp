#include "oci/arguments.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace strata::oci {
namespace {

std::vector<std::string> split_names(std::string_view names) {
    std::vector<std::string> list;
    while (true) {
        const auto comma = names.find(',');
        list.emplace_back(names.substr(0, comma));
        if (comma == std::string_view::npos) {
            return list;
        }
        names.remove_prefix(comma + 1);
    }
}

template <class T>
bool read_number(const std::string& text, T& number) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end;
}

} // namespace

void Arguments::add(std::string_view names, std::string_view help, bool takes_value,
                    std::function<bool(const std::string&)> set) {
    options_.push_back({split_names(names), std::string(help), takes_value, std::move(set)});
}

void Arguments::flag(std::string_view names, bool& target, std::string_view help) {
    add(names, help, false, [&target](const std::string& value) {
        target = value != "false";
        return value.empty() || value == "true" || value == "false";
    });
}

void Arguments::text(std::string_view names, std::string& target, std::string_view help) {
    add(names, help, true, [&target](const std::string& value) {
        target = value;
        return true;
    });
}

void Arguments::number(std::string_view names, std::optional<std::int64_t>& target, std::string_view help) {
    add(names, help, true,
        [&target](const std::string& value) { return read_number(value, target.emplace()); });
}

void Arguments::count(std::string_view names, int& target, std::string_view help) {
    add(names, help, true,
        [&target](const std::string& value) { return read_number(value, target) && target >= 0; });
}

void Arguments::list(std::string_view names, std::vector<std::string>& target, std::string_view help) {
    add(names, help, true, [&target](const std::string& value) {
        target.push_back(value);
        return true;
    });
}

const Arguments::Option* Arguments::find(std::string_view name) const {
    const auto found = std::ranges::find_if(options_, [name](const Option& option) {
        return std::ranges::find(option.names, name) != option.names.end();
    });
    return found != options_.end() ? &*found : nullptr;
}

Result<void> Arguments::parse_option(std::span<char* const> words, std::size_t& at) {
    const std::string_view word = words[at++];
    const auto equals = word.find('=');
    std::string name(word.substr(0, equals));
    if (!name.starts_with("--") && name.starts_with("-") && name.size() > 2) {
        name.insert(0, "-"); // Go's flags: one dash or two
    }
    const Option* option = find(name);
    if (option == nullptr) {
        return fail("unknown option " + name,
                    "see strata-oci " + synopsis_.substr(0, synopsis_.find(' ')) + " --help");
    }
    std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
    if (option->takes_value && equals == std::string_view::npos) {
        if (at == words.size()) {
            return fail("option " + name + " needs a value");
        }
        value = words[at++];
    }
    return option->set(value) ? Result<void>{}
                              : fail("option " + name + ": '" + value + "' is not a value for it");
}

Result<std::vector<std::string>> Arguments::parse(std::span<char* const> words, std::size_t least,
                                                  std::size_t most, bool stop_early) {
    std::vector<std::string> rest;
    bool flags = true;
    std::size_t at = 0;
    while (at < words.size()) {
        const std::string_view word = words[at];
        if (flags && (word == "--help" || word == "-h")) {
            std::fputs(help().c_str(), stdout);
            helped_ = true;
            return rest;
        }
        if (flags && word == "--") {
            flags = false;
            ++at;
        } else if (flags && word.size() > 1 && word.starts_with('-')) {
            if (auto parsed = parse_option(words, at); !parsed) {
                return std::unexpected(parsed.error());
            }
        } else {
            if (stop_early && rest.size() + 1 >= least) {
                flags = false;
            }
            if (stop_early && rest.size() == most) {
                break;
            }
            rest.emplace_back(word);
            ++at;
        }
    }
    used_ = at;
    if (rest.size() < least || rest.size() > most) {
        return fail(std::string(rest.size() < least ? "too few" : "too many") + " arguments",
                    "usage: strata-oci " + synopsis_);
    }
    return rest;
}

std::string Arguments::help() const {
    std::string text = summary_ + "\n\nUsage: strata-oci " + synopsis_ + "\n";
    text += options_.empty() ? "" : "\nOptions:\n";
    for (const Option& option : options_) {
        std::string names;
        for (const auto& name : option.names) {
            names += (names.empty() ? "" : ", ") + name;
        }
        names += option.takes_value ? " VALUE" : "";
        constexpr std::size_t column = 30;
        names.resize(std::max(names.size() + 1, column), ' ');
        text += "  " + names + option.help + "\n";
    }
    return text;
}

} // namespace strata::oci
