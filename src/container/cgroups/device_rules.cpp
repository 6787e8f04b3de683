#include "container/cgroups/controllers.hpp"

namespace strata::container {

std::vector<DeviceRule> complete_device_rules(const std::vector<DeviceRule>& rules) {
    const auto character = [](std::uint32_t major, std::optional<std::uint32_t> minor) {
        return DeviceRule{.allow = true, .type = 'c', .major = major, .minor = minor, .access = "rwm"};
    };
    // Making any device is harmless, since using it is another matter.
    const DeviceRule make_character{.allow = true, .type = 'c', .major = {}, .minor = {}, .access = "m"};
    const DeviceRule make_block{.allow = true, .type = 'b', .major = {}, .minor = {}, .access = "m"};
    std::vector<DeviceRule> all = rules;
    all.insert(all.end(),
               {make_character, make_block, character(1, 3), character(1, 8), character(1, 7),
                character(5, 0), character(1, 5), character(1, 9), character(136, {}), character(5, 2)});
    return all;
}

} // namespace strata::container
