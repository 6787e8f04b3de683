#include "instance/network/name_server.hpp"

#include "base/beside.hpp"
#include "instance/network/networks.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <sys/socket.h>

namespace strata::instance {
namespace {

constexpr auto program_name = "strata-names";
constexpr std::uint16_t port = 53;

struct Sockets {
    FileDescriptor datagrams{}, streams{};
};

Result<FileDescriptor> listen_here(int type) {
    FileDescriptor socket(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    inet_pton(AF_INET, name_server_address, &address.sin_addr);
    const int on = 1;
    if (!socket ||
        (type == SOCK_STREAM && setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) ||
        bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        (type == SOCK_STREAM && listen(socket.get(), SOMAXCONN) != 0)) {
        return fail_errno("listen for names at", name_server_address);
    }
    return socket;
}

// This process, of one thread, is back in its own namespace at the end.
Result<Sockets> listen_in(const FileDescriptor& space) {
    const FileDescriptor own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!own || setns(space.get(), CLONE_NEWNET) != 0) {
        return fail_errno("enter", "a network namespace");
    }
    auto datagrams = listen_here(SOCK_DGRAM), streams = listen_here(SOCK_STREAM);
    if (setns(own.get(), CLONE_NEWNET) != 0) {
        return fail_errno("return from", "a network namespace");
    }
    if (!datagrams || !streams) {
        return std::unexpected(datagrams ? streams.error() : datagrams.error());
    }
    return Sockets{std::move(*datagrams), std::move(*streams)};
}

constexpr auto shared = "e.address <> 0 AND n.name <> 'bridge' AND "
                        "e.network IN (SELECT network FROM endpoints WHERE instance = ?1 AND address <> 0)";

} // namespace

Result<HelperProcess> serve_names(const Instances& instances, const Instance& instance,
                                  const FileDescriptor& space) {
    const auto sockets = listen_in(space);
    if (!sockets) {
        return std::unexpected(sockets.error());
    }
    const int datagrams = sockets->datagrams.get(), streams = sockets->streams.get();
    return HelperProcess::start(program_name, {datagrams, streams}, [&] {
        drop_privileges();
        for (const int file : {datagrams, streams}) {
            fcntl(file, F_SETFD, 0);
        }
        const auto path = path_beside(program_name);
        std::vector<std::string> words{program_name, instances.directory() + "/state.db", instance.id,
                                       std::to_string(datagrams), std::to_string(streams)};
        words.insert(words.end(), instance.settings.dns.begin(), instance.settings.dns.end());
        std::vector<char*> pointers;
        for (auto& word : words) {
            pointers.push_back(word.data());
        }
        pointers.push_back(nullptr);
        execv(path.c_str(), pointers.data());
    });
}

Result<HelperProcess> serve_names_again(const Instances& instances, const Instance& instance) {
    const auto endpoints = endpoints_of(instances, instance);
    if (!endpoints) {
        return std::unexpected(endpoints.error());
    }
    const bool has_names = std::ranges::any_of(*endpoints, [&](const Endpoint& endpoint) {
        const auto network = find_network(instances, endpoint.network);
        return network && !network->is_default();
    });
    if (!has_names) {
        return HelperProcess();
    }
    const FileDescriptor space(
        open(fmt::format("/proc/{}/ns/net", instance.pid).c_str(), O_RDONLY | O_CLOEXEC));
    return space ? serve_names(instances, instance, space)
                 : fail_errno("open", "the container's network namespace");
}

Result<std::optional<dns::Records>> look_up(const Database& database, const std::string& id,
                                            const dns::Query& query) {
    const auto address = dns::address_in_name(query.name);
    auto rows = database.prepare(fmt::format(
        "SELECT e.address, n.settings, i.name || '.' || n.name FROM endpoints e "
        "JOIN instances i ON i.id = e.instance JOIN networks n ON n.id = e.network WHERE {} AND {}",
        shared,
        address ? "e.address = ?2"
                : "(lower(i.name) = ?2 OR lower(i.name || '.' || n.name) = ?2 OR substr(i.id, 1, 12) = ?2 "
                  "OR EXISTS (SELECT 1 FROM json_each(e.aliases) WHERE lower(value) = ?2))"));
    rows.bind(id);
    if (address) {
        rows.bind(static_cast<std::int64_t>(*address));
    } else {
        rows.bind(query.name);
    }
    std::optional<dns::Records> records;
    auto more = rows.step();
    for (; more && *more; more = rows.step()) {
        records = records ? std::move(records) : dns::Records{};
        const auto found = static_cast<Address>(rows.number());
        const auto settings = nlohmann::json::parse(rows.text(), nullptr, false);
        const auto name = rows.text();
        if (address) {
            records->names.push_back(name);
            continue;
        }
        records->addresses.push_back(found);
        const auto subnet6 =
            parse_subnet6(settings.is_object() ? settings.value("subnet6", std::string()) : "");
        if (subnet6) {
            records->addresses6.push_back(address_in(*subnet6, found));
        }
    }
    return more ? Result<std::optional<dns::Records>>(std::move(records)) : std::unexpected(more.error());
}

Result<bool> may_ask_others(const Database& database, const std::string& id) {
    auto rows = database.prepare("SELECT 1 FROM endpoints e JOIN networks n ON n.id = e.network "
                                 "WHERE e.instance = ? AND NOT json_extract(n.settings, '$.internal')");
    return rows.bind(id).step();
}

} // namespace strata::instance
