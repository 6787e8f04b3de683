// strata-names: the name server in a container (instance/network/name_server.hpp).
//
//   strata-names DATABASE ID DATAGRAMS STREAMS [SERVER...]
//
// DATAGRAMS and STREAMS are the numbers of its sockets, which listen in the container's network; it is in the
// host's. SERVERs are asked for the names that no container has; without any those of /etc/resolv.conf.
#include "names/server.hpp"

#include <cstdio>
#include <cstdlib>

int main(int count, char** arguments) {
    constexpr int parameters = 5;
    if (count < parameters) {
        std::fputs("strata-names is what strata starts for containers in a network of the user's\n", stderr);
        return 2;
    }
    strata::names::Server server(arguments[1], arguments[2], strata::FileDescriptor(std::atoi(arguments[3])),
                                 strata::FileDescriptor(std::atoi(arguments[4])),
                                 {arguments + parameters, arguments + count});
    server.run();
}
