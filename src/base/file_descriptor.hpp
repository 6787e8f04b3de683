// A file descriptor that closes itself.
#pragma once

#include <unistd.h>
#include <utility>

namespace strata {

class FileDescriptor {
public:
    FileDescriptor() = default;

    explicit FileDescriptor(int fd) : fd_(fd) {}

    FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        if (this != &other) {
            reset(std::exchange(other.fd_, -1));
        }
        return *this;
    }

    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;

    ~FileDescriptor() { reset(); }

    void reset(int fd = -1) {
        if (fd_ >= 0) {
            ::close(fd_);
        }
        fd_ = fd;
    }

    [[nodiscard]] int get() const { return fd_; }

    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_ = -1;
};

} // namespace strata
