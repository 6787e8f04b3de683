#include "instance/streams.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::instance {
namespace {

Result<std::string> make_fifo(const std::string& directory, const char* name) {
    auto path = directory + "/" + name;
    unlink(path.c_str());
    if (mkfifo(path.c_str(), 0600) != 0) {
        return fail_errno("make the pipe", path);
    }
    return path;
}

FileDescriptor open_end(const std::string& path, int flags) {
    return FileDescriptor(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW));
}

Result<StreamPipe> checked(StreamPipe pipe, const std::string& path) {
    return pipe.monitors && pipe.programs ? Result<StreamPipe>(std::move(pipe))
                                          : fail_errno("open the pipe", path);
}

} // namespace

Result<StreamPipe> make_input(const std::string& directory) {
    const auto path = make_fifo(directory, input_name);
    if (!path) {
        return std::unexpected(path.error());
    }
    StreamPipe pipe;
    pipe.programs = open_end(*path, O_RDONLY | O_NONBLOCK); // which waits for no writer
    pipe.monitors = open_end(*path, O_WRONLY | O_NONBLOCK);
    fcntl(pipe.programs.get(), F_SETFL, 0);
    return checked(std::move(pipe), *path);
}

Result<StreamPipe> make_output(const std::string& directory, const char* name) {
    const auto path = make_fifo(directory, name);
    if (!path) {
        return std::unexpected(path.error());
    }
    StreamPipe pipe;
    pipe.monitors = open_end(*path, O_RDONLY | O_NONBLOCK);
    pipe.programs = open_end(*path, O_RDWR);
    return checked(std::move(pipe), *path);
}

FileDescriptor reopen_input(const std::string& directory) {
    return open_end(directory + "/" + input_name, O_WRONLY | O_NONBLOCK);
}

FileDescriptor reopen_output(const std::string& directory, const char* name) {
    return open_end(directory + "/" + name, O_RDONLY | O_NONBLOCK);
}

} // namespace strata::instance
