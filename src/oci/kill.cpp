#include "oci/command.hpp"

#include <charconv>
#include <csignal>
#include <cstring>
#include <optional>

namespace strata::oci {
namespace {

// "15", "TERM", "SIGTERM", "term", "SIGRTMIN+3".
std::optional<int> signal_number(std::string name) {
    int number = 0;
    const char* end = name.data() + name.size();
    if (const auto parsed = std::from_chars(name.data(), end, number);
        parsed.ec == std::errc{} && parsed.ptr == end) {
        return number >= 0 && number <= SIGRTMAX ? std::optional(number) : std::nullopt;
    }
    for (char& c : name) {
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    name = name.starts_with("SIG") ? name.substr(3) : name;
    constexpr std::string_view real_time = "RTMIN+";
    if (name.starts_with(real_time)) {
        const auto offset = std::atoi(name.c_str() + real_time.size());
        return offset >= 0 && offset <= SIGRTMAX - SIGRTMIN ? std::optional(SIGRTMIN + offset) : std::nullopt;
    }
    for (int signal = 1; signal < NSIG; ++signal) {
        const char* abbreviation = ::sigabbrev_np(signal);
        if (abbreviation != nullptr && name == abbreviation) {
            return signal;
        }
    }
    return std::nullopt;
}

} // namespace

Result<int> kill(container::Runtime& runtime, Words words) {
    Arguments arguments("kill [OPTION...] ID [SIGNAL]",
                        "Sends a signal, by name or number (default TERM), to a container's first process.");
    container::KillOptions options{.signal = SIGTERM};
    arguments.flag("--all,-a", options.all, "to every process of the container");
    const auto rest = arguments.parse(words, 1, 2);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    if (rest->size() == 2) {
        const auto number = signal_number(rest->at(1));
        if (!number) {
            return fail("'" + rest->at(1) + "' is not a signal", "as in 15, TERM or SIGTERM");
        }
        options.signal = *number;
    }
    return status_of(runtime.kill(rest->front(), options));
}

} // namespace strata::oci
