// Bytes as a query of a container's and as a server's answer to it: what is understood is answered within
// bounds, and the answer is one.
#include "instance/network/dns_message.hpp"

#include <cstdlib>
#include <vector>

using namespace strata::instance;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const dns::Bytes message(data, size);
    const auto query = dns::parse_query(message);
    if (!query) {
        return 0;
    }
    static_cast<void>(dns::address_in_name(query->name));
    dns::Records records;
    for (Address address = 0; address < 100; ++address) {
        records.addresses.push_back(address);
        records.addresses6.push_back({0xFD});
        records.names.push_back(query->name);
    }
    for (const std::size_t longest : {dns::longest_datagram, std::size_t{65535}}) {
        const auto answer = dns::make_answer(message, *query, dns::Code::good, records, longest);
        if (answer.size() > longest || !dns::is_answer(answer, message, query->id) ||
            dns::is_answer(answer, message, query->id ^ 1U) || dns::parse_query(answer)) {
            std::abort();
        }
    }
    return 0;
}
