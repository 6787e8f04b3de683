#include "oci/log.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <nlohmann/json.hpp>

namespace strata::oci {

void report(const Globals& globals, const Error& error) {
    std::string message = error.message + (error.hint.empty() ? "" : " (" + error.hint + ")");
    std::ranges::replace(message, '\n', ' ');
    const std::string line = "strata-oci: " + message + "\n";
    (void)!::write(2, line.data(), line.size());
    if (globals.log.empty()) {
        return;
    }
    const FileDescriptor file(::open(globals.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    const std::string time = container::current_time();
    const std::string entry = globals.log_format == "json"
                                  ? dump({{"level", "error"}, {"msg", message}, {"time", time}}) + "\n"
                                  : "time=\"" + time + "\" level=error msg=\"" + message + "\"\n";
    if (!file || !write_all(file.get(), entry, globals.log)) {
        std::fprintf(stderr, "strata-oci: cannot write %s\n", globals.log.c_str());
    }
}

} // namespace strata::oci
