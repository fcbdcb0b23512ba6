import "reflect-metadata";
import { join } from "node:path";
import { Metadata } from "@grpc/grpc-js";
import { Controller, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import {
  type ClientGrpc,
  ClientProxyFactory,
  GrpcMethod,
  type GrpcOptions,
  type MicroserviceOptions,
  Transport,
} from "@nestjs/microservices";
import { firstValueFrom, type Observable } from "rxjs";
import { TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

interface Text {
  readonly text: string;
}

interface EchoClient {
  echo(request: Text, metadata: Metadata, options: { deadline: number }): Observable<Text>;
}

class EchoController {
  echo({ text }: Text): Text {
    return { text };
  }
}

class EchoModule {}

// The decorators of its documentation, as the functions that they are: Node runs no decorators.
const echo = Object.getOwnPropertyDescriptor(EchoController.prototype, "echo") ?? {};
GrpcMethod("EchoService", "Echo")(EchoController.prototype, "echo", echo);
Controller()(EchoController);
Module({ controllers: [EchoController] })(EchoModule);

function optionsFor(port: number): GrpcOptions {
  return {
    transport: Transport.GRPC,
    options: {
      package: "weft.bench.v1",
      protoPath: join(import.meta.dirname, "echo.proto"),
      url: `${HOST}:${port}`,
      channelOptions: { "grpc.enable_channelz": 0 },
    },
  };
}

/** A gRPC microservice of NestJS. */
export async function startServer(port: number): Promise<void> {
  const options: MicroserviceOptions & { logger: false } = { ...optionsFor(port), logger: false };
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(EchoModule, options);
  await app.listen();
}

/** The gRPC client of NestJS. */
export async function openClient(port: number): Promise<Call> {
  const proxy = ClientProxyFactory.create(optionsFor(port)) as unknown as ClientGrpc;
  const client = proxy.getService<EchoClient>("EchoService");
  return async (text) => {
    const deadline = Date.now() + TIMEOUT_MS;
    return (await firstValueFrom(client.echo({ text }, new Metadata(), { deadline }))).text;
  };
}
