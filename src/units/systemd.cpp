#include "units/systemd.hpp"

#include "units/message.hpp"

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>
#include <unistd.h>

namespace strata::units {
namespace {

constexpr auto service = "org.freedesktop.systemd1", object = "/org/freedesktop/systemd1",
               manager = "org.freedesktop.systemd1.Manager";
constexpr std::uint64_t second = 1'000'000, patience = 60 * second; // in microseconds

// Jobs that have ended, by their D-Bus paths: how.
using Results = std::map<std::string, std::string>;

int on_job_removed(sd_bus_message* message, void* results, sd_bus_error* /*error*/) {
    const char* job = nullptr;
    const char* result = nullptr;
    std::uint32_t id = 0;
    const char* unit = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &job, &unit, &result) >= 0) {
        (*static_cast<Results*>(results))[job] = result;
    }
    return 0;
}

// Sees the ends of jobs that are begun after it.
class JobWatch {
public:
    explicit JobWatch(sd_bus* bus) : bus_(bus) {
        // On a bus others could send such signals. A manager that is spoken to directly has no name.
        const char* sender = sd_bus_is_bus_client(bus) > 0 ? service : nullptr;
        sd_bus_match_signal_async(bus, &slot_, sender, object, manager, "JobRemoved", on_job_removed, nullptr,
                                  &results_);
        if (sender != nullptr) {
            sd_bus_call_method_async(bus, nullptr, service, object, manager, "Subscribe", nullptr, nullptr,
                                     "");
        }
    }

    ~JobWatch() { sd_bus_slot_unref(slot_); }

    JobWatch(const JobWatch&) = delete;
    JobWatch& operator=(const JobWatch&) = delete;

    // How the job ended: "done", or a word for what went wrong.
    std::string wait(const std::string& job) {
        std::uint64_t waited = 0;
        while (!results_.contains(job)) {
            const int processed = sd_bus_process(bus_, nullptr);
            if (processed < 0) {
                return "disconnected";
            }
            if (processed > 0) {
                continue;
            }
            if (sd_bus_wait(bus_, second) == 0 && (waited += second) >= patience) {
                return "timeout";
            }
        }
        return results_[job];
    }

private:
    sd_bus* bus_;
    sd_bus_slot* slot_ = nullptr;
    Results results_;
};

Refusal errno_refusal(int code, const std::string& what) { return {"", what + ": " + std::strerror(code)}; }

// As the D-Bus specification wants it in addresses.
std::string escape(const std::string& path) {
    std::string escaped;
    for (const char letter : path) {
        const bool plain = std::isalnum(static_cast<unsigned char>(letter)) != 0 ||
                           std::string_view("-_/.").contains(letter);
        if (plain) {
            escaped += letter;
        } else {
            char code[4];
            std::snprintf(code, sizeof code, "%%%02x",
                          static_cast<unsigned>(static_cast<unsigned char>(letter)));
            escaped += code;
        }
    }
    return escaped;
}

int open_address(sd_bus** bus, const std::string& address) {
    int status = sd_bus_new(bus);
    status = status < 0 ? status : sd_bus_set_address(*bus, address.c_str());
    return status < 0 ? status : sd_bus_start(*bus);
}

} // namespace

// Directly where that is allowed, as systemctl(1) does: it is quicker, and needs no message bus.
std::expected<Systemd, Refusal> Systemd::connect(bool user) {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    const std::string folder = user ? (runtime != nullptr ? runtime : "") : "/run";
    sd_bus* bus = nullptr;
    int status = -ENOENT;
    if (!folder.empty() && (user || ::geteuid() == 0)) {
        status = open_address(&bus, "unix:path=" + escape(folder + "/systemd/private"));
    }
    if (status < 0) {
        sd_bus_unref(bus);
        bus = nullptr;
        status = user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
    }
    if (status < 0) {
        return std::unexpected(errno_refusal(-status, user ? "the user's manager" : "the system's manager"));
    }
    sd_bus_set_method_call_timeout(bus, patience);
    return Systemd(Bus(bus, sd_bus_flush_close_unref));
}

Answer Systemd::start_once(const std::string& unit, Words properties) {
    Message message(bus_.get(), service, object, manager, "StartTransientUnit");
    message.add("s", unit);
    message.add("s", "replace");
    if (const auto added = message.add_properties(properties); !added.empty()) {
        return std::unexpected(Refusal{SD_BUS_ERROR_INVALID_ARGS, added});
    }
    message.add_array("a(sa(sv))", {}); // other units
    JobWatch watch(bus_.get());
    const auto job = message.call_for_path();
    if (!job) {
        return std::unexpected(job.error());
    }
    const auto result = watch.wait(*job);
    return result == "done" ? Answer("")
                            : std::unexpected(Refusal{"", "its start ended with '" + result + "'"});
}

void Systemd::reset_failed(const std::string& unit) {
    Message message(bus_.get(), service, object, manager, "ResetFailedUnit");
    message.add("s", unit);
    (void)message.call();
}

Answer Systemd::start(const std::string& unit, Words properties) {
    auto started = start_once(unit, properties);
    if (!started && started.error().name == "org.freedesktop.systemd1.UnitExists") {
        reset_failed(unit); // one that failed is kept for its log only
        started = start_once(unit, properties);
    }
    if (!started) {
        if (started.error().name.empty()) {
            reset_failed(unit);
        }
        return started;
    }
    return get_text(bus_.get(), service, unit, unit.ends_with(".slice") ? "Slice" : "Scope", "ControlGroup");
}

Answer Systemd::set(const std::string& unit, Words properties) {
    Message message(bus_.get(), service, object, manager, "SetUnitProperties");
    message.add("s", unit);
    message.add("b", "true"); // until it ends
    if (const auto added = message.add_properties(properties); !added.empty()) {
        return std::unexpected(Refusal{SD_BUS_ERROR_INVALID_ARGS, added});
    }
    return message.call();
}

Answer Systemd::stop(const std::string& unit) {
    Message message(bus_.get(), service, object, manager, "StopUnit");
    message.add("s", unit);
    message.add("s", "replace");
    JobWatch watch(bus_.get());
    const auto job = message.call_for_path();
    if (!job) {
        // It went when its last process did. If it failed, it is still there.
        const bool gone = job.error().name == "org.freedesktop.systemd1.NoSuchUnit";
        return gone ? Answer("") : std::unexpected(job.error());
    }
    const auto result = watch.wait(*job);
    reset_failed(unit);
    return result == "done" ? Answer("")
                            : std::unexpected(Refusal{"", "its stop ended with '" + result + "'"});
}

Answer Systemd::attach(const std::string& unit, const std::string& pid, const std::string& group) {
    Message message(bus_.get(), service, object, manager, "AttachProcessesToUnit");
    message.add("s", unit);
    message.add("s", group);
    message.add_array("au", {pid});
    return message.call();
}

} // namespace strata::units
