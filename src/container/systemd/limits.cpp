#include "container/systemd/limits.hpp"

#include "container/cgroups/controllers.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace strata::container {
namespace {

std::uint64_t or_infinity(std::int64_t value) {
    return value < 0 ? infinity : static_cast<std::uint64_t>(value);
}

std::optional<std::uint64_t> read_whole(std::string_view text) {
    std::uint64_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = read.ec == std::errc{} && read.ptr == text.data() + text.size();
    return whole ? std::optional(value) : std::nullopt;
}

// "0-3,7" as an array of bytes, the lowest first, with a bit for each.
Result<UnitProperty> set_property(std::string name, const std::string& list) {
    constexpr std::uint64_t most = 8192;
    std::vector<unsigned> bytes;
    for (std::size_t start = 0; start < list.size();) {
        const auto end = std::min(list.find(',', start), list.size());
        const auto part = std::string_view(list).substr(start, end - start);
        const auto dash = part.find('-');
        const auto first = read_whole(part.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : read_whole(part.substr(dash + 1));
        if (!first || !last || *first > *last || *last >= most) {
            return fail("config.json: linux.resources.cpu: '" + list + "' is not a list as in 0-3,7");
        }
        bytes.resize(std::max<std::size_t>(bytes.size(), *last / 8 + 1));
        for (auto i = *first; i <= *last; ++i) {
            bytes[i / 8] |= 1U << (i % 8);
        }
        start = end + 1;
    }
    UnitProperty property{std::move(name), "ay", {std::to_string(bytes.size())}};
    std::ranges::transform(bytes, std::back_inserter(property.words),
                           [](unsigned byte) { return std::to_string(byte); });
    return property;
}

Result<void> add_set(UnitProperties& to, const char* name, const std::string& list) {
    auto set = list.empty() ? Result<UnitProperty>{} : set_property(name, list);
    if (!set) {
        return std::unexpected(set.error());
    }
    if (!list.empty()) {
        to.push_back(std::move(*set));
    }
    return {};
}

// systemd counts by whole percents of a processor: up, so that no group below gets less than it asked for.
void add_quota(UnitProperties& to, std::optional<std::int64_t> quota, std::optional<std::uint64_t> period,
               std::uint64_t known_period) {
    if (period.value_or(0) != 0) {
        to.push_back(number_property("CPUQuotaPeriodUSec", *period));
    }
    if (quota.value_or(0) == 0 && period.value_or(0) == 0) {
        return;
    }
    std::uint64_t of_a_second = infinity;
    if (quota.value_or(0) > 0) {
        constexpr std::uint64_t second = 1'000'000, percent = second / 100;
        const auto exact =
            static_cast<std::uint64_t>(*quota) * second / (period.value_or(0) != 0 ? *period : known_period);
        of_a_second = (exact + percent - 1) / percent * percent;
    }
    to.push_back(number_property("CPUQuotaPerSecUSec", of_a_second));
}

void add_memory(UnitProperties& to, const MemoryLimits& limits, bool unified) {
    if (limits.limit.value_or(0) != 0) {
        to.push_back(number_property(unified ? "MemoryMax" : "MemoryLimit", or_infinity(*limits.limit)));
    }
    if (!unified) {
        return;
    }
    if (limits.reservation.value_or(0) != 0) {
        to.push_back(number_property("MemoryLow", or_infinity(*limits.reservation)));
    }
    // A sum that cannot be is refused where it is written to the group.
    const auto swap = limits.swap.value_or(0);
    if (swap < 0) {
        to.push_back(number_property("MemorySwapMax", infinity));
    } else if (swap > 0 && limits.limit.value_or(0) > 0 && swap >= *limits.limit) {
        to.push_back(number_property("MemorySwapMax", static_cast<std::uint64_t>(swap - *limits.limit)));
    }
}

void add_cpu(UnitProperties& to, const CpuLimits& limits, bool unified, std::uint64_t period) {
    const auto shares = limits.shares.value_or(0);
    if (unified && limits.idle.value_or(0) == 1) {
        to.push_back(number_property("CPUWeight", 0)); // systemd's word for it
    } else if (shares != 0) {
        to.push_back(unified ? number_property("CPUWeight", v2::weight_of_shares(shares))
                             : number_property("CPUShares", shares));
    }
    add_quota(to, limits.quota, limits.period, period);
}

// A file of the unified map that systemd has a property for.
Result<void> add_unified(UnitProperties& to, const std::string& file, const std::string& text) {
    constexpr std::pair<std::string_view, const char*> numbers[] = {
        {"cpu.weight", "CPUWeight"}, {"memory.high", "MemoryHigh"}, {"memory.low", "MemoryLow"},
        {"memory.min", "MemoryMin"}, {"memory.max", "MemoryMax"},   {"memory.swap.max", "MemorySwapMax"},
        {"pids.max", "TasksMax"},
    };
    const auto start = text.find_first_not_of(" \n");
    const auto value =
        start == std::string::npos ? "" : text.substr(start, text.find_last_not_of(" \n") + 1 - start);
    const auto* const number =
        std::ranges::find(numbers, file, &std::pair<std::string_view, const char*>::first);
    if (number != std::end(numbers)) {
        if (const auto amount = value == "max" ? infinity : read_whole(value)) {
            to.push_back(number_property(number->second, *amount));
        }
        return {}; // what is no number the kernel refuses, and says so better
    }
    if (file == "cpuset.cpus" || file == "cpuset.mems") {
        return add_set(to, file == "cpuset.cpus" ? "AllowedCPUs" : "AllowedMemoryNodes", value);
    }
    if (file == "cpu.max") {
        const auto blank = value.find(' ');
        const auto quota = read_whole(std::string_view(value).substr(0, blank));
        const auto period =
            blank == std::string::npos ? std::nullopt : read_whole(std::string_view(value).substr(blank + 1));
        add_quota(to, quota ? std::optional(static_cast<std::int64_t>(*quota)) : -1, period, 100'000);
    }
    return {};
}

} // namespace

UnitProperties basic_properties(const SystemdUnit& unit, const std::string& description, pid_t pid,
                                bool unified) {
    UnitProperties properties{text_property("Description", description)};
    if (unit.is_slice()) {
        properties.push_back({"Wants", "as", {"1", unit.slice}}); // where it is its name says
    } else {
        properties.push_back(text_property("Slice", unit.slice));
        properties.push_back(flag_property("Delegate", true));
        properties.push_back({"PIDs", "au", {"1", std::to_string(pid)}});
    }
    for (const char* name : {"MemoryAccounting", "CPUAccounting",
                             unified ? "IOAccounting" : "BlockIOAccounting", "TasksAccounting"}) {
        properties.push_back(flag_property(name, true));
    }
    properties.push_back(flag_property("DefaultDependencies", false));
    return properties;
}

Result<UnitProperties> limit_properties(const Resources& resources, bool unified, std::uint64_t period) {
    UnitProperties properties;
    add_memory(properties, resources.memory, unified);
    add_cpu(properties, resources.cpu, unified, period);
    for (const auto& [name, list] : {std::pair{"AllowedCPUs", &resources.cpu.cpus},
                                     std::pair{"AllowedMemoryNodes", &resources.cpu.mems}}) {
        if (auto added = add_set(properties, name, *list); !added) {
            return std::unexpected(added.error());
        }
    }
    if (resources.pids_limit.value_or(0) != 0) {
        properties.push_back(number_property("TasksMax", or_infinity(*resources.pids_limit)));
    }
    if (const auto weight = resources.block_io.weight.value_or(0); weight >= 10) {
        properties.push_back(unified ? number_property("IOWeight", v2::weight_of_block_io(weight))
                                     : number_property("BlockIOWeight", weight));
    }
    for (const auto& [file, text] : resources.unified) {
        if (auto added = add_unified(properties, file, text); !added) {
            return std::unexpected(added.error());
        }
    }
    return properties;
}

Result<UnitProperties> annotated_properties(const std::map<std::string, std::string>& annotations) {
    constexpr std::string_view prefix = "org.systemd.property.";
    UnitProperties properties;
    for (const auto& [key, text] : annotations) {
        if (!key.starts_with(prefix)) {
            continue;
        }
        auto property = parse_property(std::string_view(key).substr(prefix.size()), text);
        if (!property) {
            return std::unexpected(property.error());
        }
        properties.push_back(std::move(*property));
    }
    return properties;
}

} // namespace strata::container
