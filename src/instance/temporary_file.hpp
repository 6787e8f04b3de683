// A file that another program reads or writes, for as long as the object lives.
#pragma once

#include "base/atomic_file.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace strata::instance {

class TemporaryFile {
public:
    explicit TemporaryFile(const std::string& directory, std::string_view content = {})
        : path_(directory + "/XXXXXX") {
        const int file = mkostemp(path_.data(), O_CLOEXEC);
        if (file >= 0) {
            static_cast<void>(write_all(file, content, path_)); // what is missing its reader will miss
            close(file);
        }
    }

    ~TemporaryFile() { unlink(path_.c_str()); }

    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

} // namespace strata::instance
