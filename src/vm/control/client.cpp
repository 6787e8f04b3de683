#include "vm/control/client.hpp"

#include "base/file_descriptor.hpp"
#include "vm/control/machine_name.hpp"

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/un.h>

namespace strata::vm::control {
namespace {

using nlohmann::json;

constexpr std::size_t longest_answer = 1 << 20;

std::unexpected<Error> not_understood(const std::string& machine) {
    return fail("the answer of the machine " + machine + " is not understood",
                "it may be of another version of strata");
}

Result<FileDescriptor> connect_to(const std::string& machine) {
    const auto path = socket_path(machine);
    if (!path) {
        return std::unexpected(path.error());
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path->size() >= sizeof address.sun_path) {
        return fail("the socket's path is too long: " + *path);
    }
    path->copy(address.sun_path, path->size());
    FileDescriptor connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!connection) {
        return fail_errno("make", "a socket");
    }
    if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int code = errno;
        if (code == ENOENT || code == ECONNREFUSED) {
            return fail("no virtual machine named " + machine + " is running",
                        "a machine has a name if it was started with strata run --name NAME --kernel ...");
        }
        return fail_errno("reach the machine", machine, code);
    }
    return connection;
}

Result<std::string> exchange(int connection, const std::string& machine, std::string_view request) {
    while (!request.empty()) {
        const ssize_t sent = ::send(connection, request.data(), request.size(), MSG_NOSIGNAL);
        if (sent < 0) {
            return fail_errno("ask the machine", machine);
        }
        request.remove_prefix(static_cast<std::size_t>(sent));
    }
    std::string answer;
    while (!answer.ends_with('\n')) {
        std::array<char, 4096> buffer;
        const ssize_t size = ::recv(connection, buffer.data(), buffer.size(), 0);
        if (size <= 0) {
            return fail("the machine " + machine + " ended before it answered");
        }
        answer.append(buffer.data(), static_cast<std::size_t>(size));
        if (answer.size() > longest_answer) {
            return not_understood(machine);
        }
    }
    return answer;
}

std::string text_of(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What a request is answered with, if it is not an error.
Result<json> ask(const std::string& machine, const json& request) {
    const auto connection = connect_to(machine);
    if (!connection) {
        return std::unexpected(connection.error());
    }
    const auto line = exchange(connection->get(), machine, request.dump() + "\n");
    if (!line) {
        return std::unexpected(line.error());
    }
    const json answer = json::parse(*line, nullptr, false);
    if (!answer.is_object()) {
        return not_understood(machine);
    }
    if (const auto error = answer.find("error"); error != answer.end() && error->is_object()) {
        return fail(text_of(*error, "message"), text_of(*error, "hint"));
    }
    const auto result = answer.find("result");
    return result != answer.end() ? Result<json>(*result) : not_understood(machine);
}

} // namespace

Result<void> switch_engine(const std::string& machine, const std::string& engine) {
    if (auto answer = ask(machine, {{"request", "switch-engine"}, {"engine", engine}}); !answer) {
        return std::unexpected(answer.error());
    }
    return {};
}

Result<void> set_paused(const std::string& machine, bool paused) {
    if (auto answer = ask(machine, {{"request", paused ? "pause" : "resume"}}); !answer) {
        return std::unexpected(answer.error());
    }
    return {};
}

bool is_running(const std::string& machine) { return connect_to(machine).has_value(); }

Result<std::vector<ExitsByEngine>> exits(const std::string& machine) {
    const auto answer = ask(machine, {{"request", "stats"}});
    if (!answer) {
        return std::unexpected(answer.error());
    }
    try {
        std::vector<ExitsByEngine> list;
        for (const json& vcpu : answer->at("vcpus")) {
            list.push_back(vcpu.at("exits").get<ExitsByEngine>());
        }
        return list;
    } catch (const json::exception&) {
        return not_understood(machine);
    }
}

} // namespace strata::vm::control
