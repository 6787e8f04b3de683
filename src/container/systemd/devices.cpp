// Rules for devices, which are gone through in turn, as systemd has them: a list of what is allowed.
#include "container/systemd/limits.hpp"

#include <algorithm>

namespace strata::container {
namespace {

bool is_all(const DeviceRule& rule) {
    return rule.type == 'a' && !rule.major && !rule.minor &&
           std::ranges::all_of(std::string_view("rwm"), [&](char c) { return rule.access.contains(c); });
}

bool is_same(const DeviceRule& a, const DeviceRule& b) {
    return a.type == b.type && a.major == b.major && a.minor == b.minor;
}

bool meets(const DeviceRule& a, const DeviceRule& b) {
    return a.type == b.type && (!a.major || !b.major || a.major == b.major) &&
           (!a.minor || !b.minor || a.minor == b.minor);
}

class AllowList {
public:
    void apply(const DeviceRule& rule) {
        if (is_all(rule)) {
            everything_ = rule.allow;
            sayable_ = true;
            allowed_.clear();
            return;
        }
        for (const char type : std::string_view("bc")) {
            if (rule.type == 'a' || rule.type == type) {
                DeviceRule single = rule;
                single.type = type;
                rule.allow ? allow(single) : deny(single);
            }
        }
    }

    // False if only a program can tell.
    [[nodiscard]] bool is_list() const { return sayable_ && !everything_; }

    [[nodiscard]] const std::vector<DeviceRule>& allowed() const { return allowed_; }

private:
    void allow(const DeviceRule& rule) {
        sayable_ = sayable_ && (rule.major || !rule.minor);
        const auto same =
            std::ranges::find_if(allowed_, [&](const DeviceRule& old) { return is_same(old, rule); });
        if (same == allowed_.end()) {
            allowed_.push_back(rule);
            return;
        }
        for (const char letter : rule.access) {
            same->access += same->access.contains(letter) ? "" : std::string(1, letter);
        }
    }

    void deny(const DeviceRule& rule) {
        sayable_ = sayable_ && !everything_;
        for (DeviceRule& old : allowed_) {
            if (is_same(old, rule)) {
                std::erase_if(old.access, [&](char letter) { return rule.access.contains(letter); });
            } else if (meets(old, rule)) {
                sayable_ = false;
            }
        }
        std::erase_if(allowed_, [](const DeviceRule& old) { return old.access.empty(); });
    }

    std::vector<DeviceRule> allowed_;
    bool everything_ = false, sayable_ = true;
};

// systemd takes numbers in the place of a node, and of a driver's name in /proc/devices.
std::string name_of(const DeviceRule& rule) {
    const std::string kind = rule.type == 'b' ? "block" : "char";
    return rule.major && rule.minor
               ? "/dev/" + kind + "/" + std::to_string(*rule.major) + ":" + std::to_string(*rule.minor)
               : kind + "-" + (rule.major ? std::to_string(*rule.major) : "*");
}

} // namespace

UnitProperties device_properties(const std::vector<DeviceRule>& rules) {
    AllowList list;
    for (const DeviceRule& rule : rules) {
        list.apply(rule);
    }
    UnitProperty none{"DeviceAllow", "a(ss)", {"0"}};
    if (!list.is_list()) {
        return {text_property("DevicePolicy", "auto"), none};
    }
    UnitProperty allowed = none;
    allowed.words.front() = std::to_string(list.allowed().size());
    for (const DeviceRule& rule : list.allowed()) {
        allowed.words.push_back(name_of(rule));
        allowed.words.push_back(rule.access);
    }
    // What is set is added to the list, unless that was emptied before.
    return {text_property("DevicePolicy", "strict"), none, allowed};
}

} // namespace strata::container
