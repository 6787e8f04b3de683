// Pipes to children, and their ends.
#include "base/pipe.hpp"

#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace strata {
namespace {

TEST(Pipe, BringsAllThatAChildWrites) {
    auto pipe = make_pipe();
    ASSERT_TRUE(pipe);
    const std::string text(200'000, 'x'); // more than a pipe holds
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        std::size_t done = 0;
        while (done < text.size()) {
            done += static_cast<std::size_t>(
                write(pipe->write_end.get(), text.data() + done, text.size() - done));
        }
        _exit(7);
    }
    pipe->write_end.reset();
    EXPECT_EQ(read_until_closed(pipe->read_end), text);
    const int status = wait_for_end(child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(Pipe, TellsWhatCannotBeRead) {
    auto pipe = make_pipe();
    ASSERT_TRUE(pipe);
    EXPECT_EQ(read_until_closed(pipe->write_end), std::nullopt);
    EXPECT_EQ(errno, EBADF);
}

} // namespace
} // namespace strata
