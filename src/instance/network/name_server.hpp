// Names between containers, as Docker has them: in a container that is in a network of the user's a name
// server answers at 127.0.0.11 for the containers that share a network with it, by name, alias and short ID,
// and asks the host's name servers for all other names. It is a process of the monitor's, strata-names.
#pragma once

#include "instance/database.hpp"
#include "instance/instances.hpp"
#include "instance/network/dns_message.hpp"
#include "instance/network/helper_process.hpp"

namespace strata::instance {

inline constexpr auto name_server_address = "127.0.0.11";

// In the network namespace `space`, in which lo is on.
[[nodiscard]] Result<HelperProcess> serve_names(const Instances& instances, const Instance& instance,
                                                const FileDescriptor& space);
// For one that runs: none if it had none.
[[nodiscard]] Result<HelperProcess> serve_names_again(const Instances& instances, const Instance& instance);

// What the state knows of a name that the instance `id` asks for; nothing if it is no container's.
[[nodiscard]] Result<std::optional<dns::Records>> look_up(const Database& database, const std::string& id,
                                                          const dns::Query& query);
// Whether it may ask others: in internal networks alone it may not.
[[nodiscard]] Result<bool> may_ask_others(const Database& database, const std::string& id);

} // namespace strata::instance
