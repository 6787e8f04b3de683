#include "container/config/sections.hpp"
#include "container/process/capabilities.hpp"

#include <linux/sched.h>
#include <sys/resource.h>

namespace strata::container {
namespace {

constexpr std::pair<std::string_view, int> rlimit_names[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

constexpr std::pair<std::string_view, std::uint32_t> policies[] = {
    {"SCHED_OTHER", SCHED_NORMAL},      {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},       {"SCHED_ISO", 4},           {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
};

constexpr std::pair<std::string_view, std::uint64_t> policy_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

// ioprio_set(2); the C library has no names for them.
constexpr std::pair<std::string_view, int> io_classes[] = {
    {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};

std::uint32_t read_id(const JsonNode& node) {
    return static_cast<std::uint32_t>(node ? node.number(largest_id) : 0);
}

User read_user(const JsonNode& node) {
    User user;
    user.uid = read_id(node.find("uid"));
    user.gid = read_id(node.find("gid"));
    user.umask = read_number<std::uint32_t>(node.find("umask"));
    for (const auto& gid : node.find("additionalGids").items()) {
        user.additional_gids.push_back(static_cast<gid_t>(gid.number(largest_id)));
    }
    return user;
}

Capabilities read_capabilities(const JsonNode& node) {
    const auto read_set = [&node](std::string_view name) {
        std::uint64_t set = 0;
        for (const auto& item : node.find(name).items()) {
            const std::string word = item.string();
            if (const auto number = capability_number(word)) {
                set |= std::uint64_t{1} << *number;
            } else if (item) {
                item.refuse("is '" + word + "', which is no capability");
            }
        }
        return set;
    };
    return {.bounding = read_set("bounding"),
            .effective = read_set("effective"),
            .inheritable = read_set("inheritable"),
            .permitted = read_set("permitted"),
            .ambient = read_set("ambient")};
}

std::vector<Rlimit> read_rlimits(const JsonNode& list) {
    std::vector<Rlimit> limits;
    for (const auto& node : list.items()) {
        const auto type = node.at("type");
        const int resource = read_word(type, rlimit_names);
        for (const Rlimit& earlier : limits) {
            if (earlier.resource == resource && type) {
                type.refuse("is there twice");
            }
        }
        limits.push_back({.resource = resource,
                          .name = type.string(),
                          .soft = node.at("soft").number(UINT64_MAX),
                          .hard = node.at("hard").number(UINT64_MAX)});
        if (limits.back().soft > limits.back().hard) {
            node.refuse("has a soft limit above its hard one");
        }
    }
    return limits;
}

Scheduler read_scheduler(const JsonNode& node) {
    Scheduler scheduler{.policy = read_word(node.at("policy"), policies)};
    scheduler.nice = static_cast<std::int32_t>(node.find("nice").integer(INT32_MIN, INT32_MAX));
    scheduler.priority = static_cast<std::uint32_t>(node.find("priority").integer(0, INT32_MAX));
    for (const auto& flag : node.find("flags").items()) {
        scheduler.flags |= read_word(flag, policy_flags);
    }
    scheduler.runtime = node.find("runtime").number(UINT64_MAX);
    scheduler.deadline = node.find("deadline").number(UINT64_MAX);
    scheduler.period = node.find("period").number(UINT64_MAX);
    return scheduler;
}

void check_arguments(const JsonNode& node, const Process& process) {
    if (process.args.empty() && node) {
        node.at("args").refuse("is empty");
    }
    for (const auto* list : {&process.args, &process.env}) {
        for (const auto& text : *list) {
            if (text.find('\0') != std::string::npos) {
                node.refuse(list == &process.args ? "has an argument with a NUL character"
                                                  : "has a variable with a NUL character");
            }
        }
    }
}

} // namespace

Process read_process(const JsonNode& node) {
    Process process;
    process.terminal = node.find("terminal").boolean();
    if (const auto size = node.find("consoleSize")) {
        process.console_size = {.height = static_cast<std::uint16_t>(size.at("height").number(UINT16_MAX)),
                                .width = static_cast<std::uint16_t>(size.at("width").number(UINT16_MAX))};
    }
    process.cwd = read_absolute_path(node.at("cwd"));
    process.env = node.find("env").strings();
    process.args = node.at("args").strings();
    check_arguments(node, process);
    process.user = read_user(node.find("user"));
    if (const auto capabilities = node.find("capabilities")) {
        process.capabilities = read_capabilities(capabilities);
    }
    process.rlimits = read_rlimits(node.find("rlimits"));
    process.no_new_privileges = node.find("noNewPrivileges").boolean();
    if (const auto score = node.find("oomScoreAdj")) {
        process.oom_score_adj = static_cast<int>(score.integer(-1000, 1000));
    }
    process.apparmor_profile = read_text(node.find("apparmorProfile"));
    process.selinux_label = read_text(node.find("selinuxLabel"));
    if (const auto scheduler = node.find("scheduler")) {
        process.scheduler = read_scheduler(scheduler);
    }
    if (const auto priority = node.find("ioPriority")) {
        process.io_priority = {.io_class = read_word(priority.at("class"), io_classes),
                               .priority = static_cast<int>(priority.find("priority").integer(0, 7))};
    }
    const auto affinity = node.find("execCPUAffinity");
    process.initial_affinity = read_text(affinity.find("initial"));
    process.final_affinity = read_text(affinity.find("final"));
    return process;
}

} // namespace strata::container
