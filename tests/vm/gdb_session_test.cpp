#include "vm/gdb/session.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

namespace strata::vm::gdb {
namespace {

using Action = Target::Action;

// Two threads and 64 KiB of memory.
struct FakeTarget : Target {
    std::vector<cpu::x86::State> states{2};
    std::vector<std::byte> memory{65536};
    cpu::DebugControl stops;
    std::vector<Action> resumed;
    bool interrupted = false, killed = false, detached = false;

    unsigned threads() const override { return 2; }

    bool long_mode_processor() const override { return true; }

    std::string thread_description(unsigned thread) override { return "CPU " + std::to_string(thread); }

    cpu::x86::State registers(unsigned thread) override { return states.at(thread); }

    void set_registers(unsigned thread, const cpu::x86::State& state) override { states.at(thread) = state; }

    std::size_t reachable(std::uint64_t address, std::size_t size) const {
        return address >= memory.size() ? 0 : std::min<std::size_t>(size, memory.size() - address);
    }

    std::size_t read_memory(unsigned, std::uint64_t address, std::span<std::byte> to) override {
        const auto size = reachable(address, to.size());
        std::copy_n(memory.begin() + static_cast<std::ptrdiff_t>(size == 0 ? 0 : address), size, to.begin());
        return size;
    }

    std::size_t write_memory(unsigned, std::uint64_t address, std::span<const std::byte> from) override {
        const auto size = reachable(address, from.size());
        std::copy_n(from.begin(), size,
                    memory.begin() + static_cast<std::ptrdiff_t>(size == 0 ? 0 : address));
        return size;
    }

    void set_stops(const cpu::DebugControl& control) override { stops = control; }

    void resume(std::span<const Action> actions) override { resumed.assign(actions.begin(), actions.end()); }

    void interrupt() override { interrupted = true; }

    std::string monitor(std::string_view command) override { return "heard: " + std::string(command) + "\n"; }

    void kill() override { killed = true; }

    void detach() override { detached = true; }
};

class GdbSessionTest : public testing::Test {
protected:
    FakeTarget target;
    std::string sent;
    Session session{target, [this](std::string_view bytes) { sent += bytes; }};

    void receive(std::string_view bytes) { session.receive(std::as_bytes(std::span(bytes))); }

    // The answer's data, with the acknowledgement and the frame taken off.
    std::string ask(std::string_view packet) {
        sent.clear();
        receive(frame(packet));
        EXPECT_EQ(sent.front(), '+');
        if (sent.size() < 5) {
            return "(none)";
        }
        return sent.substr(2, sent.size() - 5);
    }
};

TEST_F(GdbSessionTest, RefusesABadChecksumAndRepeatsItsAnswer) {
    receive("$?#00");
    EXPECT_EQ(sent, "-");
    ask("?");
    const std::string answer = sent.substr(1);
    sent.clear();
    receive("-");
    EXPECT_EQ(sent, answer);
}

TEST_F(GdbSessionTest, StopsAcknowledgingWhenAskedTo) {
    EXPECT_EQ(ask("QStartNoAckMode"), "OK");
    sent.clear();
    receive(frame("qC"));
    EXPECT_EQ(sent, frame("QC1"));
}

TEST_F(GdbSessionTest, DescribesTheRegistersItTransfers) {
    const std::string xml = ask("qXfer:features:read:target.xml:0,800");
    EXPECT_EQ(xml.front(), 'm'); // more to come
    EXPECT_NE(xml.find("<architecture>i386:x86-64</architecture>"), std::string::npos);
    EXPECT_NE(xml.find("name=\"rax\" bitsize=\"64\""), std::string::npos);
    const RegisterMap map(true);
    std::size_t bytes = 0;
    for (const auto& row : map.rows()) {
        bytes += row.size;
    }
    EXPECT_EQ(ask("g").size(), bytes * 2);
}

TEST_F(GdbSessionTest, ReadsAndWritesRegistersOfTheChosenThread) {
    target.states[1].gpr[cpu::x86::rbx] = 0x1122334455667788;
    EXPECT_EQ(ask("Hg2"), "OK");
    EXPECT_EQ(ask("p1"), "8877665544332211"); // GDB's second register is RBX
    EXPECT_EQ(ask("P10=00f0ffff00000000"), "OK");
    EXPECT_EQ(target.states[1].rip, 0xFFFFF000U);
    EXPECT_EQ(ask("P1=11"), "E16");
    EXPECT_EQ(ask("pfff"), "E16");
    EXPECT_EQ(ask("Hg3"), "E16");
}

TEST_F(GdbSessionTest, WritesBackAllRegistersUnchanged) {
    target.states[0].fp.abridged_tag = 0x81;
    target.states[0].fp.physical[0] = {0x8000'0000'0000'0000, 0x3FFF};
    target.states[0].fp.ymm[3].lanes = {1, 2, 3, 4};
    target.states[0].system.segments[cpu::x86::gs].base = 0xFFFF'8880'0000'0000;
    const auto before = target.states[0];
    const std::string all = ask("g");
    EXPECT_EQ(ask("G" + all), "OK");
    EXPECT_EQ(target.states[0], before);
    EXPECT_EQ(ask("G" + all.substr(2)), "E16");
}

TEST_F(GdbSessionTest, ReadsAndWritesMemory) {
    EXPECT_EQ(ask("M1000,4:deadbeef"), "OK");
    EXPECT_EQ(ask("m1000,4"), "deadbeef");
    EXPECT_EQ(ask("X2000,3:a#b"), "OK"); // the frame escapes the '#'
    EXPECT_EQ(ask("m2000,3"), "612362");
    EXPECT_EQ(ask("mfffe,8"), "0000"); // as much as is there
    EXPECT_EQ(ask("m10000,8"), "E0e");
    EXPECT_EQ(ask("Mfffe,4:00000000"), "E0e");
    EXPECT_EQ(ask("m1000"), "E16");
    EXPECT_EQ(ask("M1000,4:dead"), "E16");
}

TEST_F(GdbSessionTest, KeepsBreakpointsAndWatchpoints) {
    EXPECT_EQ(ask("Z0,401000,1"), "OK");
    EXPECT_EQ(ask("Z1,402000,1"), "OK");
    EXPECT_EQ(ask("Z2,5000,8"), "OK");
    EXPECT_EQ(ask("z0,401000,1"), "OK");
    EXPECT_EQ(target.stops.breakpoints, std::vector<std::uint64_t>{0x402000});
    ASSERT_EQ(target.stops.watches.size(), 1U);
    EXPECT_TRUE(target.stops.watches[0].on_write);
    EXPECT_FALSE(target.stops.watches[0].on_read);
    EXPECT_EQ(ask("Z5,0,0"), "");
    EXPECT_EQ(ask("Z0"), "E16");
}

TEST_F(GdbSessionTest, ResumesThreadsByTheirActionsAndReportsTheStop) {
    EXPECT_EQ(ask("vCont?"), "vCont;c;C;s;S");
    EXPECT_EQ(ask("vCont;s:2;c"), "(none)");
    EXPECT_EQ(target.resumed, (std::vector{Action::run, Action::step}));
    sent.clear();
    session.stopped({Stop::Reason::step, 1});
    EXPECT_EQ(sent, frame("T05thread:2;"));
    EXPECT_EQ(ask("s"), "(none)"); // the thread that stopped is the one that steps
    EXPECT_EQ(target.resumed, (std::vector{Action::stay, Action::step}));
}

TEST_F(GdbSessionTest, ReportsAWatchByItsKindAndAddress) {
    ask("Z4,5000,8");
    ask("c");
    sent.clear();
    session.stopped({Stop::Reason::watch, 0, 0x5004});
    EXPECT_EQ(sent, frame("T05thread:1;awatch:5004;"));
}

TEST_F(GdbSessionTest, InterruptsARunningMachineOnly) {
    receive("\x03");
    EXPECT_FALSE(target.interrupted);
    ask("c");
    receive("\x03");
    EXPECT_TRUE(target.interrupted);
    EXPECT_EQ(ask("g"), ""); // not while it runs
    sent.clear();
    session.stopped({Stop::Reason::interrupt, 0});
    EXPECT_EQ(sent, frame("T02thread:1;"));
}

TEST_F(GdbSessionTest, TellsTheThreads) {
    EXPECT_EQ(ask("qfThreadInfo"), "m1,2");
    EXPECT_EQ(ask("qsThreadInfo"), "l");
    EXPECT_EQ(ask("qThreadExtraInfo,2"), to_hex("CPU 1"));
    EXPECT_EQ(ask("T2"), "OK");
    EXPECT_EQ(ask("T7"), "E16");
}

TEST_F(GdbSessionTest, EndsByDetachKillOrTheMachinesEnd) {
    EXPECT_EQ(ask("D"), "OK");
    EXPECT_TRUE(target.detached);
    EXPECT_TRUE(session.finished());

    Session second(target, [](std::string_view) {});
    const std::string kill = frame("vKill;1");
    second.receive(std::as_bytes(std::span(kill)));
    EXPECT_TRUE(target.killed);

    std::string last;
    Session third(target, [&](std::string_view bytes) { last = bytes; });
    const std::string go = frame("c");
    third.receive(std::as_bytes(std::span(go)));
    third.stopped({Stop::Reason::ended, 0, 0, 3});
    EXPECT_EQ(last, frame("W03"));
    EXPECT_TRUE(third.finished());
}

TEST_F(GdbSessionTest, PassesMonitorCommandsOn) {
    EXPECT_EQ(ask("qRcmd," + to_hex("help")), to_hex("heard: help\n"));
    EXPECT_EQ(ask("qRcmd,xyz"), "E16");
}

TEST_F(GdbSessionTest, SurvivesAnyPacket) {
    for (const char* packet : {"v",
                               "vCont;",
                               "vCont;;",
                               "vCont;q",
                               "H",
                               "Hg",
                               "Hgxyz",
                               "p",
                               "P",
                               "P1",
                               "P1=",
                               "m",
                               "m,",
                               "M,:",
                               "X",
                               "Z",
                               "Z0,",
                               "z9,1,1",
                               "q",
                               "qXfer:features:read:target.xml:",
                               "Q",
                               "T",
                               "G",
                               "qXfer:features:read:target.xml:ffffffff,1",
                               "mffffffffffffffff,ffffffffffffffff",
                               "!"}) {
        ask(packet);
    }
    receive(std::string(3 * packet_size, '$'));
    receive("$" + std::string(3 * packet_size, 'x') + "#00");
    EXPECT_EQ(ask("qC"), "QC1");
}

} // namespace
} // namespace strata::vm::gdb
