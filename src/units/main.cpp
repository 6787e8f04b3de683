// strata-units: asks systemd, for a container runtime, to hold processes in a unit
// (container/systemd/manager.hpp).
//
//   strata-units FD system|user
//
// FD is the number of a socket that keeps messages apart. Each is a question, words that end with NUL:
//
//   start UNIT PROPERTY...     makes the unit, which is there when the answer comes: its control group
//   set UNIT PROPERTY...       changes it, until it ends
//   stop UNIT                  ends it; also one that failed
//   attach UNIT PID [GROUP]    brings a process into it, or into a group below its own (/name)
//
// and a PROPERTY is its name, the signature of its type, and the words of its value (busctl(1)). An answer is
// '+' with a text, or '-' with the name of a D-Bus error, NUL, and what systemd said.
#include "units/systemd.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace strata::units {
namespace {

constexpr std::size_t longest_question = 1 << 18; // a socket takes less

std::vector<std::string> words_of(std::string_view packet) {
    std::vector<std::string> words;
    while (!packet.empty()) {
        const auto end = packet.find('\0');
        words.emplace_back(packet.substr(0, end));
        packet.remove_prefix(end == std::string_view::npos ? packet.size() : end + 1);
    }
    return words;
}

Answer answer(Systemd& systemd, const std::vector<std::string>& words) {
    const std::string verb = words.size() < 2 ? "" : words[0];
    const std::span rest = std::span(words).subspan(verb.empty() ? 0 : 2);
    if (verb == "start") {
        return systemd.start(words[1], rest);
    }
    if (verb == "set") {
        return systemd.set(words[1], rest);
    }
    if (verb == "attach" && !rest.empty()) {
        return systemd.attach(words[1], rest[0], rest.size() > 1 ? rest[1] : "");
    }
    return verb == "stop" ? systemd.stop(words[1]) : std::unexpected(Refusal{"", "no such question"});
}

int serve(int socket, bool user) {
    // Meanwhile the question is being made.
    auto systemd = Systemd::connect(user);
    const auto packet = std::make_unique_for_overwrite<char[]>(longest_question);
    while (true) {
        const auto size = ::recv(socket, packet.get(), longest_question, 0);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            return 0; // who asks has ended
        }
        const auto words = words_of({packet.get(), static_cast<std::size_t>(size)});
        const auto told = systemd ? answer(*systemd, words) : std::unexpected(systemd.error());
        const std::string text = told ? "+" + *told : "-" + told.error().name + '\0' + told.error().message;
        if (::send(socket, text.data(), text.size(), MSG_NOSIGNAL) < 0) {
            return 1;
        }
    }
}

} // namespace
} // namespace strata::units

int main(int count, char** arguments) {
    if (count != 3) {
        std::fputs("strata-units is what strata-oci --systemd-cgroup starts to speak to systemd\n", stderr);
        return 2;
    }
    return strata::units::serve(std::atoi(arguments[1]), arguments[2] == std::string_view("user"));
}
